"""A timm network as a backbone: its own normalisation, weights from four sources, and its layer for maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import shorten
from typing import Any, ClassVar, Literal, cast

import timm
import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models import group_parameters
from torch import Tensor, nn

from pathfuse.core import AttentionStep, Backbone, CamLayer
from pathfuse.errors import PathfuseError, RecipeError, WeightsError, did_you_mean
from pathfuse.nn import WeightsNote, weights_note
from pathfuse_timm.attention import of_windows, watched_layers
from pathfuse_timm.weights import Source, find_weights, offline

Pool = Literal["avg", "max", "avgmax", "token", "map", "none"]


class TimmBackbone(Backbone):
    """Any image network of timm, by name.

    Images come in [0, 1]. Three channels are normalised with the mean and deviation that the network was trained
    with; several stacked stains (6, 9, ... channels) repeat them per stain; other channel counts, such as a learned
    representation, are taken as they are.

    Args:
        in_chans: channels of the images; weights trained on three channels are adapted.
        name: timm name with or without a tag, for example `vit_base_patch16_224.augreg_in21k`, or `hf-hub:OWNER/MODEL`.
        weights: `random`, `hub` to download, or the path of a .safetensors or .pth file, or of a folder with
            config.json as timm writes it, which then also decides the network instead of `name`.
        drop_rate: dropout before the output, in training.
        drop_path_rate: share of residual branches skipped in training.
        global_pool: how the last map becomes a vector; `none` keeps the map, null is the network's own way.
        img_size: edge in pixels for networks that are built for one size; conv nets need none.

    Departs: of timm's own loading, a local file must fit every layer of the network; timm would accept any.
    """

    example_options: ClassVar[dict[str, object]] = {"name": "test_resnet"}
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        in_chans: int,
        *,
        name: str = "resnext50_32x4d",
        weights: str = "random",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        global_pool: Pool | None = None,
        img_size: int | None = None,
    ) -> None:
        super().__init__()
        _check_name(name)
        options: dict[str, Any] = {
            "in_chans": in_chans,
            "num_classes": 0,
            "drop_rate": drop_rate or None,
            "drop_path_rate": drop_path_rate or None,
            "global_pool": None if global_pool == "none" else global_pool,
            "img_size": img_size,
        }
        net = _create(find_weights(name, weights), {k: v for k, v in options.items() if v is not None})
        self.net = cast(Any, net)  # timm's attributes are typed nowhere
        if not global_pool and getattr(net, "global_pool", None) == "":
            raise RecipeError(
                f"TimmBackbone: {weights} leaves its tokens unpooled. Set global_pool: token, avg or none; or, if it "
                "is an encoder that `pathfuse plugins` lists, name that and give this folder as its weights."
            )
        self.net.pretrained_cfg.pop("state_dict", None)  # loaded; kept, it would double the memory of the network
        self.features = nn.Identity()  # a place for maps that every conv net has, whatever its layers are called
        self.in_chans = in_chans
        self.global_pool = global_pool  # no tensor tells; the digest of an encoder reads it
        self.layout = "map" if global_pool == "none" else "vector"
        width = self.net.num_features
        self.out_dim = int(width if global_pool == "none" else getattr(self.net, "head_hidden_size", width))
        self._fixed_px = _fixed_size(self.net)
        self._grid: tuple[int, int] | None = None
        trained_px = int(self.net.pretrained_cfg["input_size"][-1])
        self.size_px = self._fixed_px or (None if weights == "random" else img_size or trained_px)
        mean, std = _statistics(self.net.pretrained_cfg, in_chans)
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    @classmethod
    def weights_note(cls, options: Mapping[str, object]) -> WeightsNote:
        """Which weights these options begin with, and the licence that timm has for them."""
        name, weights = str(options.get("name", "resnext50_32x4d")), str(options.get("weights", "random"))
        published = timm.get_pretrained_cfg(name, allow_unregistered=True)
        return weights_note(name, weights, (published and published.license) or "")

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] to features (N, D), or maps (N, D, h, w) with `global_pool: none`.

        Raises:
            RecipeError: if the network is built for another image size.
        """
        height, width = images.shape[-2:]
        if self._fixed_px and (height, width) != (self._fixed_px, self._fixed_px):
            raise RecipeError(
                f"TimmBackbone: the network is built for images of {self._fixed_px} px and got {height} x {width}. "
                f"Set img_size: {height}, or size_px: {self._fixed_px} in the data."
            )
        self._grid = _grid(self.net, height, width)
        normalised = (images - self.mean) / self.std  # (N, C, H, W)
        features = self.features(self.net.forward_features(normalised))
        if self.layout == "map":
            return self._to_map(features)  # (N, D, h, w)
        pooled: Tensor = self.net.forward_head(features)  # (N, D)
        return pooled

    def cam_layer(self) -> CamLayer:
        """The last feature map; of a transformer what enters its last attention.

        Source: Selvaraju et al. 2017, arXiv:1610.02391. After the last attention of a transformer that is pooled by
        its class token, the patch tokens get no gradient at all, so the map is read before it.
        """
        blocks = getattr(self.net, "blocks", None)
        if isinstance(blocks, (nn.Sequential, nn.ModuleList)) and isinstance(
            getattr(blocks[-1], "norm1", None), nn.Module
        ):
            return CamLayer(blocks[-1].get_submodule("norm1"), (), on_input=True, to_map=self._to_map)
        return CamLayer(self.features, (), to_map=self._to_map)

    @contextmanager
    def watched(self) -> Iterator[list[AttentionStep]]:
        """The attention of a transformer whose tokens all attend to each other; of one with windows nothing."""
        prefix = int(getattr(self.net, "num_prefix_tokens", 0))
        pooled_by_token = prefix > 0 and getattr(self.net, "global_pool", "") == "token"
        with watched_layers(self.net, 0 if pooled_by_token else None, prefix, self._places) as steps:
            yield [] if of_windows(self.net) else steps

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The parameters in the order of timm's layer groups: of a conv net its blocks, stem first."""
        if not hasattr(self.net, "group_matcher"):
            return super().layer_groups()
        parameters = dict(self.net.named_parameters())
        names = group_parameters(self.net, self.net.group_matcher(coarse=False))
        return [[parameters[name] for name in names[group]] for group in sorted(names)]

    def _places(self, row: Tensor) -> Tensor:
        return self._to_map(row[..., None])[:, 0]  # (N, n) to (N, h, w)

    def _to_map(self, activation: Tensor) -> Tensor:
        if activation.dim() == 4:
            channels_last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
            return activation.permute(0, 3, 1, 2) if channels_last else activation
        patches = activation[:, getattr(self.net, "num_prefix_tokens", 0) :]  # (N, h * w, D)
        side = int(patches.shape[1] ** 0.5)
        grid = self._grid if self._grid and self._grid[0] * self._grid[1] == patches.shape[1] else (side, side)
        return patches.transpose(1, 2).reshape(len(patches), -1, *grid)  # (N, D, h, w)


def _check_name(name: str) -> None:
    if name.startswith(("hf-hub:", "local-dir:")):
        return
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        guess = did_you_mean(architecture, timm.list_models())
        raise RecipeError(f"TimmBackbone: timm has no network called {name!r}.{guess} timm.list_models() lists them.")
    tags = sorted(known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*"))
    if tag and tag not in tags:
        raise RecipeError(
            f"TimmBackbone: {architecture} has no weights tagged {tag!r}. Its tags: {', '.join(tags) or 'none'}."
        )


def _create(source: Source, options: dict[str, Any]) -> nn.Module:
    try:
        net = _create_dynamic(source, options)
    except PathfuseError:
        raise
    except TypeError as error:
        refused = next((option for option in options if f"'{option}'" in str(error)), None)
        if refused is None:
            raise
        raise RecipeError(f"TimmBackbone: {source.name} takes no {refused}. Remove that line.") from error
    except Exception as error:  # every network's constructor and every transport has errors of its own
        text = shorten(" ".join(str(error).split()), 200, placeholder=" ...")
        if "state_dict" in source.overlay:
            raise WeightsError(
                f"weights do not fit {source.name}: {text} Set `name` and `global_pool` to what they were made with."
            ) from error
        if source.pretrained:
            raise offline(source.name, error) from error
        raise RecipeError(f"TimmBackbone: timm cannot build {source.name} with these options: {text}") from error
    return net


def _create_dynamic(source: Source, options: dict[str, Any]) -> nn.Module:
    arguments: dict[str, Any] = {"pretrained": source.pretrained, "pretrained_cfg_overlay": source.overlay}
    arguments |= source.layers | options
    try:
        # Transformers that can then take any multiple of their patch; the others do not know the word.
        net = timm.create_model(source.name, dynamic_img_size=True, **arguments)
    except TypeError as error:
        if "'dynamic_img_size'" not in str(error):
            raise
        net = timm.create_model(source.name, **arguments)
    return net


def _fixed_size(net: nn.Module) -> int | None:
    embed = next((module for module in net.modules() if isinstance(module, PatchEmbed)), None)
    if embed is None or embed.img_size is None or not embed.strict_img_size:
        return None
    return int(embed.img_size[0])


def _grid(net: nn.Module, height: int, width: int) -> tuple[int, int] | None:
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
    return (height // patch[0], width // patch[1]) if isinstance(patch, tuple) else None


def _statistics(config: dict[str, Any], in_chans: int) -> tuple[Tensor, Tensor]:
    mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
    repeats, rest = divmod(in_chans, len(mean))
    if rest:
        return torch.zeros(in_chans), torch.ones(in_chans)
    return mean.repeat(repeats), std.repeat(repeats)
