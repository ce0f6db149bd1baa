"""torchvision's AlexNet up to one of its inner layers, as a patch embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, alexnet  # type: ignore[import-untyped]

from pathfuse.core import Backbone, skips_pretrained
from pathfuse.errors import RecipeError, WeightsError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTHS = {"conv": 9216, "fc6": 4096, "fc7": 4096}
ENDS = {"conv": 0, "fc6": 3, "fc7": 6}  # how much of the classifier is kept


class AlexNet(Backbone):
    """AlexNet as a patch embedder, 4096 features after its second fully connected layer.

    Args:
        in_chans: channels of the images; has to be 3.
        weights: `random`, `hub` for those of ImageNet, or the path of a state dict (.pth or .safetensors).
        layer: `fc7` or `fc6` after their ReLU, or `conv` for the last map, flattened.

    Source: arXiv:2411.05028; Krizhevsky et al. 2012, as torchvision builds it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, in_chans: int, *, weights: str = "random", layer: Literal["conv", "fc6", "fc7"] = "fc7") -> None:
        super().__init__()
        if in_chans != 3:
            raise RecipeError(f"AlexNet reads images of 3 channels, not {in_chans}. Choose one stain.")
        if layer not in WIDTHS:
            raise RecipeError(f"AlexNet: layer {layer!r} is none of {', '.join(WIDTHS)}.")
        net = alexnet()
        if weights != "random" and not skips_pretrained():
            _load(net, weights)
        self.in_chans, self.out_dim = in_chans, WIDTHS[layer]
        self.features, self.pool = net.features, net.avgpool
        self.layers = cast(nn.Sequential, net.classifier)[: ENDS[layer]]
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1], of at least 63 px, to features (N, D)."""
        maps = self.pool(self.features((images - self.mean) / self.std))  # (N, 256, 6, 6)
        vectors: Tensor = self.layers(maps.flatten(1))  # (N, D)
        return vectors


def _load(net: nn.Module, weights: str) -> None:
    state = _from_hub() if weights == "hub" else _from_file(Path(weights).expanduser())
    own = net.state_dict()
    state = {key.removeprefix("net."): value for key, value in state.items()}
    if "features.0.weight" in state:  # trained with another number of classes: the last layer is not used here
        state |= {key: own[key] for key in ("classifier.6.weight", "classifier.6.bias")}
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()[:200]
        raise WeightsError(f"weights {weights}: do not fit AlexNet ({first}). Give a state dict of it.") from error


def _from_hub() -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = dict(AlexNet_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True))
    except Exception as error:  # every transport has errors of its own
        raise WeightsError(
            f"weights 'hub': AlexNet cannot be downloaded ({type(error).__name__}: {str(error)[:120]}). Check the "
            "network, or give the path of a local copy of alexnet-owt-7be5be79.pth."
        ) from error
    return state


def _from_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"weights {path}: there is no such file. Correct the path, or use `hub` or `random`.")
    return read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict saved by torch; never runs code from it.

    Raises:
        WeightsError: if the file is neither, or damaged.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(f"weights {path}: cannot be read as a state dict ({reason}). Save it again.") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"weights {path}: holds no plain state dict. Save model.state_dict() alone.")
    return state
