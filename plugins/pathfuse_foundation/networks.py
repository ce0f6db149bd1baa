"""Vision transformers of timm and transformers behind one face: images in, the last tokens out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, nn

from pathfuse.errors import PluginError, WeightsError
from pathfuse_foundation.naming import in_timm_names
from pathfuse_foundation.table import Row
from pathfuse_foundation.weights import Weights

CLIP_PARTS = ("vision_model.", "visual_projection.")


class TokenNetwork(nn.Module, ABC):
    """A transformer that returns its last tokens, normalised.

    Attributes:
        net: the library's own module.
        width: width of a token.
        prefix: tokens before the patch tokens: class token and registers.
        patch_px: edge of a patch in pixels.
    """

    net: nn.Module
    width: int
    prefix: int
    patch_px: int

    @property
    @abstractmethod
    def blocks(self) -> nn.Sequential | nn.ModuleList:
        """The blocks from the first to the last."""

    @property
    def before_attention(self) -> nn.Module:
        """The module whose output enters the last attention."""
        return next(module for module in self.blocks[-1].children() if isinstance(module, nn.LayerNorm))

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to tokens (N, prefix + h * w, width)."""

    def project(self, token: Tensor) -> Tensor:
        """The class token (N, width) as the network hands it out."""
        return token


class TimmNetwork(TokenNetwork):
    """A vision transformer of timm."""

    def __init__(self, net: Any) -> None:  # noqa: ANN401 - timm's attributes are typed nowhere
        super().__init__()
        self.net = net
        self.width = int(net.num_features)
        self.prefix = int(net.num_prefix_tokens)
        self.patch_px = int(net.patch_embed.patch_size[0])

    @property
    def blocks(self) -> nn.Sequential | nn.ModuleList:
        """The blocks of timm."""
        found: nn.Sequential | nn.ModuleList = self.net.get_submodule("blocks")  # type: ignore[assignment]
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Tokens after the last norm."""
        tokens: Tensor = self.net.forward_features(images)  # type: ignore[operator]
        return tokens


class TransformersNetwork(TokenNetwork):
    """ViT, DINOv2, or the image side of CLIP, of transformers."""

    def __init__(self, net: Any, *, any_size: bool) -> None:  # noqa: ANN401 - transformers is optional
        super().__init__()
        self.net = net
        self.width = int(net.config.hidden_size)
        self.prefix = 1
        self.patch_px = int(net.config.patch_size)
        # DINOv2 resizes its positions unasked, and does not know the word.
        self._options = {"interpolate_pos_encoding": True} if any_size else {}

    @property
    def blocks(self) -> nn.Sequential | nn.ModuleList:
        """The layers of transformers, whatever its version calls them."""
        return [module for module in self.net.modules() if isinstance(module, nn.ModuleList)][-1]

    def forward(self, images: Tensor) -> Tensor:
        """Tokens after the last norm; of CLIP before it, as transformers returns them."""
        tokens: Tensor = self.net(pixel_values=images, **self._options).last_hidden_state
        return tokens

    def project(self, token: Tensor) -> Tensor:
        """The class token; of CLIP normalised and projected."""
        projection = getattr(self.net, "visual_projection", None)
        if projection is None:
            return token
        projected: Tensor = projection(self.net.vision_model.post_layernorm(token))  # type: ignore[union-attr,operator]
        return projected


def build(row: Row, weights: Weights | None) -> TokenNetwork:
    """The network of a row, with random weights or with those that were read.

    Raises:
        WeightsError: if they do not fit, naming the first tensors.
        PluginError: if transformers is needed and not installed.
    """
    return _of_timm(row, weights) if row.library == "timm" else _of_transformers(row, weights)


def _of_timm(row: Row, weights: Weights | None) -> TokenNetwork:
    import timm
    from timm.layers.mlp import SwiGLUPacked

    layers = {"SwiGLUPacked": SwiGLUPacked, "SiLU": nn.SiLU}
    arguments: dict[str, Any] = {
        key: layers[str(value)] if key in ("mlp_layer", "act_layer") else value for key, value in row.arguments.items()
    }
    # Any multiple of the patch is taken then; at the published size nothing changes.
    arguments |= {"num_classes": 0, "dynamic_img_size": True}
    if weights is None:
        return TimmNetwork(timm.create_model(row.network, pretrained=False, **arguments))
    with torch.device("meta"):  # no time and memory for numbers that are replaced at once
        net = timm.create_model(row.network, pretrained=False, **arguments)
    state = {key: value.float() for key, value in in_timm_names(weights.state).items()}
    try:
        net.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise _unfit(row, weights, str(error)) from error
    return TimmNetwork(net)


def _of_transformers(row: Row, weights: Weights | None) -> TokenNetwork:
    try:
        import transformers
    except ImportError as error:
        raise PluginError(
            f"{row.name} is built by transformers, which is not installed. Run: pip install 'pathfuse[transformers]'"
        ) from error
    kind = getattr(transformers, row.network)
    published = _published(row, weights.config) if weights is not None else {}
    config = kind.config_class(**{**row.arguments, **published})
    options = {"add_pooling_layer": False} if row.network == "ViTModel" else {}
    any_size = row.network != "Dinov2Model"
    if weights is None:
        return TransformersNetwork(kind(config, **options), any_size=any_size)
    state = weights.state
    if any(key.startswith(CLIP_PARTS) for key in state):  # the text side is of no use here
        state = {key: value for key, value in state.items() if key.startswith(CLIP_PARTS)}
    with _silent(transformers):
        try:
            net, found = kind.from_pretrained(
                None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True, **options
            )
        except (RuntimeError, ValueError) as error:
            raise _unfit(row, weights, str(error)) from error
    foreign = [key for key in found["unexpected_keys"] if not key.startswith("pooler.")]
    if found["missing_keys"] or foreign:
        raise _unfit(row, weights, f"missing {sorted(found['missing_keys'])[:2]}, unknown {sorted(foreign)[:2]}")
    return TransformersNetwork(net, any_size=any_size)


def _published(row: Row, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration beside the weights says; its code, if it names any, is not run."""
    if not config:
        return {}
    if row.network.startswith("CLIP") and isinstance(config.get("vision_config"), dict):
        config = {**config["vision_config"], "projection_dim": config.get("projection_dim", 512)}
    expected = {"ViTModel": "vit", "Dinov2Model": "dinov2", "CLIPVisionModelWithProjection": "clip_vision_model"}
    model = config.get("model_type", expected[row.network])
    if model != expected[row.network]:
        code = " and asks for code of its own (auto_map), which is never run" if "auto_map" in config else ""
        raise WeightsError(
            f"config.json of {row.name} describes a network of type {model!r}{code}, not {expected[row.network]!r}. "
            f"Take the folder of {row.published}."
        )
    return {key: value for key, value in config.items() if key not in ("auto_map", "architectures", "dtype")}


def _unfit(row: Row, weights: Weights, text: str) -> WeightsError:
    said = shorten(" ".join(text.partition(":\n")[2].split() or text.split()), 200, placeholder=" ...")
    return WeightsError(
        f"weights {weights.origin}: do not fit {row.name} ({said}). Take those of {row.published}, or another encoder."
    )


@contextmanager
def _silent(transformers: Any) -> Iterator[None]:  # noqa: ANN401 - an optional module
    """No bars and reports of transformers: what does not fit is an error of ours."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
