"""A U-Net per stain: maps at full resolution that have seen more than a nucleus."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from pathfuse.core import DataSpec, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import modality_of_kind
from pathfuse_corranet.encoder import Missing, StainEncoder
from pathfuse_corranet.norm import Runs


class UNetBranch(nn.Module):
    """MONAI's U-Net with batch norm, and a ReLU behind it.

    Args:
        width: channels of the image.
        dim: channels of the map.
        channels: of the levels, each of half the resolution of the one before.
    """

    def __init__(self, width: int, dim: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        # MONAI takes a second to import, and most recipes need none of its networks.
        from monai.networks.nets.unet import UNet

        self.net: nn.Module = UNet(
            spatial_dims=2,
            in_channels=width,
            out_channels=dim,
            channels=channels,
            strides=(2,) * (len(channels) - 1),
            norm="batch",
        )

    def forward(self, x: Tensor, runs: Runs | None = None) -> Tensor:
        """Images (B, C, H, W) to maps (B, D, H, W); rows that stand for several are not known to MONAI."""
        if runs is not None:
            raise ValueError("rows of a U-Net cannot count several times")
        return torch.relu(self.net(x))


class WideStainEncoder(StainEncoder):
    """`StainEncoder` with a U-Net in place of three convolutions, which see seven pixels: no more than a nucleus.

    Args:
        dim: features d of the map.
        channels: of the levels of the U-Net; each level after the first halves the resolution.
        missing: what stands for an absent stain, as in `StainEncoder`.

    Source: Ronneberger et al. 2015, arXiv:1505.04597, in MONAI's form, for the network.
    Departs: Corr-A-Net has nothing like it.
    """

    example_options: ClassVar[dict[str, object]] = {"dim": 8, "channels": [4, 8]}

    def __init__(
        self,
        spec: DataSpec,
        *,
        dim: int = 16,
        channels: tuple[int, ...] = (16, 32, 64),
        missing: Missing = "zero_input",
    ) -> None:
        super().__init__(spec, dim=dim, stem="none", missing=missing)
        step = 2 ** (len(channels) - 1)
        for stain in spec.modalities:
            size = modality_of_kind(spec, stain.name, "image", "WideStainEncoder").size_px
            if size is not None and size % step:
                raise RecipeError(
                    f"model.encoder.channels: {len(channels)} levels need images of a multiple of {step} px, "
                    f"{stain.name} has {size}; change data.size_px"
                )
        self.branches = nn.ModuleDict({m.name: UNetBranch(m.width, dim, tuple(channels)) for m in spec.modalities})
        self.out = {m.name: TokenSpec(dim, "map", source_dim=m.width) for m in spec.modalities}
