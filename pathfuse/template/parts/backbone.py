"""A small convolutional network, written out so that it can be read and replaced."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from pathfuse.core import Backbone, CamLayer


class TinyBackbone(Backbone):
    """Four convolutions, each halving the image, then the mean over positions.

    Args:
        in_chans: channels of the images.
        dim: width of the output; the layers before it have an eighth, a quarter and half of it.
    """

    def __init__(self, in_chans: int, *, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self.in_chans = in_chans
        self.out_dim = dim
        widths = [in_chans, dim // 8, dim // 4, dim // 2, dim]
        self.blocks = nn.Sequential(*[block(before, after) for before, after in pairwise(widths)])

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] to features (N, D)."""
        centred = 2 * images - 1  # (N, C, H, W); a backbone normalises its input itself
        maps: Tensor = self.blocks(centred)  # (N, D, H / 16, W / 16)
        return maps.mean(dim=(2, 3))  # (N, D)

    def cam_layer(self) -> CamLayer:
        """The last feature map, for Grad-CAM."""
        return CamLayer(self.blocks, ())


def block(before: int, after: int) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU at half the size."""
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
