"""The frozen first block of ResNet-50 at full resolution."""

from __future__ import annotations

import pickle
import threading
import urllib.error
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights  # type: ignore[import-untyped]

from pathfuse.core import skips_pretrained
from pathfuse.errors import WeightsError
from pathfuse.nn import load_saved

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PATIENCE_S = 8.0


class ResNetStem(nn.Module):
    """7x7 convolution, batch norm and ReLU of ResNet-50 with stride 1: images (N, 3, H, W) to features (N, 64, H, W).

    It never trains: its parameters have no gradient and its batch norm keeps the stored statistics. Gradients pass
    through to the image.

    Args:
        weights: `hub` downloads torchvision's ImageNet weights, a path reads a ResNet-50 state dict, `random` draws
            them.

    Source: Dutta et al. 2025, Methods: "ResNet-50 features of 256x256x64".
    Departs: the stock block has stride 2 and would give 128x128.
    """

    out_dim = 64
    mean: Tensor
    std: Tensor

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, self.out_dim, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(self.out_dim)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        if weights != "random" and not skips_pretrained():
            self._load(_hub_state() if weights == "hub" else _file_state(Path(weights)), weights)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> ResNetStem:
        """Stays in eval mode: the statistics of batch norm are part of the weights."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to features (N, 64, H, W)."""
        scaled = (images - self.mean) / self.std
        return torch.relu(self.bn1(self.conv1(scaled)))

    def _load(self, state: dict[str, Tensor], source: str) -> None:
        own = {key: state[key] for key in self.state_dict() if key in state}
        missing = sorted(set(self.state_dict()) - set(own) - {"bn1.num_batches_tracked"})
        if missing:
            raise WeightsError(
                f"model.encoder.weights: {source} has no {missing[0]}; name a ResNet-50 state dict, hub or random"
            )
        try:
            self.load_state_dict(own, strict=False)
        except RuntimeError as error:
            raise WeightsError(
                f"model.encoder.weights: {source} is not a ResNet-50 (a tensor has another shape); "
                "give a ResNet-50 state dict, or use hub or random"
            ) from error


def _file_state(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            state = load_saved(file)
    except FileNotFoundError as error:
        raise WeightsError(
            f"model.encoder.weights: {path} does not exist; name a ResNet-50 state dict, or use hub or random"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"model.encoder.weights: {path} is not a state dict that loads with weights_only; "
            "give one of ResNet-50, or use hub or random"
        ) from error
    if not isinstance(state, dict):
        raise WeightsError(
            f"model.encoder.weights: {path} holds no state dict; give one of ResNet-50, or use hub or random"
        )
    return dict(state)


def _hub_state() -> dict[str, Tensor]:
    url = ResNet50_Weights.IMAGENET1K_V2.url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not cached.is_file() and not _reachable(url):
        raise WeightsError(
            "model.encoder.weights: hub needs the network, and the weights of ResNet-50 cannot be reached; "
            "give the path of a ResNet-50 state dict, or use random"
        )
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:  # a URLError is an OSError; a wrong hash is a RuntimeError
        raise WeightsError(
            "model.encoder.weights: the download of ResNet-50 for hub failed; "
            "try again, give the path of a ResNet-50 state dict, or use random"
        ) from error
    return state


def _reachable(url: str) -> bool:
    """Whether the server answers in time. In a thread, because no time-out covers the name look-up."""
    answered: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S / 2):
                answered.append(True)
        except (urllib.error.URLError, OSError):
            answered.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return bool(answered and answered[0])
