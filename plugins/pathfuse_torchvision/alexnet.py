"""torchvision's AlexNet up to one of its inner layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, alexnet  # type: ignore[import-untyped]

from pathfuse.core import Backbone, CamLayer, skips_pretrained
from pathfuse.errors import RecipeError, WeightsError
from pathfuse.nn import TORCHVISION, WeightsNote, backbone_state, read_state, weights_note

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTHS = {"conv": 9216, "fc6": 4096, "fc7": 4096}
ENDS = {"conv": 0, "fc6": 3, "fc7": 6}  # how much of the classifier is kept
SMALLEST_PX = 63
FIRST = "features.0.weight"


class AlexNet(Backbone):
    """AlexNet as torchvision builds it, up to its second fully connected layer: 4,096 features.

    Images come in [0, 1]. Three channels are normalised with the statistics of ImageNet, several stacked stains (6, 9,
    ... channels) stain by stain; other channel counts are taken as they are.

    Args:
        in_chans: channels of the images; weights trained on three channels are adapted.
        weights: `random`, `hub` to download those of ImageNet, or the path of a state dict (.pth or .safetensors) or of
            the checkpoint of a run that trained an AlexNet.
        layer: `fc7` or `fc6` after their ReLU, or `conv` for the last map, flattened to 9,216.

    Source: Krizhevsky et al. 2012; as patch embedder arXiv:2411.05028, which does not name the layer.
    """

    example_options: ClassVar[dict[str, object]] = {"layer": "conv"}  # a twentieth of the weights
    example_size_px: ClassVar[int] = 64
    mean: Tensor
    std: Tensor

    def __init__(self, in_chans: int, *, weights: str = "random", layer: Literal["conv", "fc6", "fc7"] = "fc7") -> None:
        super().__init__()
        if layer not in WIDTHS:
            raise RecipeError(f"AlexNet: layer {layer!r} is none of {', '.join(WIDTHS)}.")
        self.in_chans, self.out_dim = in_chans, WIDTHS[layer]
        self.features, self.pool, self.classifier = _layers(in_chans, ENDS[layer])
        if weights != "random" and not skips_pretrained():
            self._load(weights)
        mean, std = _statistics(in_chans)
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    @classmethod
    def weights_note(cls, options: Mapping[str, object]) -> WeightsNote:
        """Which weights these options begin with."""
        return weights_note("alexnet", str(options.get("weights", "random")), TORCHVISION)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] to features (N, D).

        Raises:
            RecipeError: if they are smaller than 63 px.
        """
        height, width = images.shape[-2:]
        if min(height, width) < SMALLEST_PX:
            raise RecipeError(f"AlexNet takes images from {SMALLEST_PX} px and got {height} x {width}.")
        maps = self.pool(self.features((images - self.mean) / self.std))  # (N, 256, 6, 6)
        vectors: Tensor = self.classifier(maps.flatten(1))  # (N, D)
        return vectors

    def cam_layer(self) -> CamLayer:
        """The last convolution after its ReLU."""
        return CamLayer(self.features[-2], ())

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """One group per layer that has weights."""
        layers = [*self.features, *self.classifier]
        return [list(layer.parameters()) for layer in layers if any(True for _ in layer.parameters())]

    def _load(self, weights: str) -> None:
        state = _from_hub() if weights == "hub" else backbone_state(read_state(Path(weights).expanduser()))
        own = self.state_dict()
        # What comes after the layer that is read out is not there, and the statistics are not the file's to say.
        extra = {key for key in state if key.startswith("classifier.") and key not in own} | {"mean", "std"}
        state = {key: value for key, value in state.items() if key not in extra}
        first = state.get(FIRST)
        if first is not None and first.dim() == 4 and first.shape[1] == 3:
            state[FIRST] = _adapted(first, self.in_chans)
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1].strip()[:200]
            raise WeightsError(f"weights {weights}: do not fit AlexNet ({last}). Give a state dict of it.") from error


def _layers(in_chans: int, end: int) -> tuple[nn.Sequential, nn.Module, nn.Sequential]:
    with torch.device("meta"):  # no memory and no draws for layers that are thrown away
        net = alexnet()
        if in_chans != 3:
            net.features[0] = nn.Conv2d(in_chans, 64, kernel_size=11, stride=4, padding=2)
    kept = net.features, net.avgpool, cast(nn.Sequential, net.classifier)[:end]
    for part in kept:
        for layer in part.to_empty(device="cpu").modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.reset_parameters()
    return kept


def _statistics(in_chans: int) -> tuple[Tensor, Tensor]:
    stains, rest = divmod(in_chans, 3)
    if rest:
        return torch.zeros(in_chans), torch.ones(in_chans)
    return torch.tensor(IMAGENET_MEAN * stains), torch.tensor(IMAGENET_STD * stains)


def _adapted(weight: Tensor, in_chans: int) -> Tensor:
    """Weights (O, 3, h, w) for other channels: repeated, and scaled so that the output keeps its size."""
    if in_chans == 3:
        return weight
    return weight.repeat(1, -(-in_chans // 3), 1, 1)[:, :in_chans] * (3 / in_chans)


def _from_hub() -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = dict(AlexNet_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True))
    except Exception as error:  # every transport has errors of its own
        raise WeightsError(
            f"weights 'hub': AlexNet cannot be downloaded ({type(error).__name__}: {str(error)[:120]}). Check the "
            "network, or give the path of a local copy of alexnet-owt-7be5be79.pth."
        ) from error
    return state
