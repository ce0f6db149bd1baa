"""A small convolutional network for small images: a learning curve of it takes minutes on a laptop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from pathfuse.core import Backbone, CamLayer
from pathfuse.nn import check_counts

_WIDTHS = (16, 32, 64, 64)


class SmallConvNet(Backbone):
    """Convolutions of 3 x 3 with batch normalisation, each halving the image, then the mean over positions.

    With four of them a position of the last map sees 31 px of the image.

    Args:
        in_chans: channels of the images, in [0, 1].
        widths: channels after each convolution; the last is the width of the output.
    """

    def __init__(self, in_chans: int, *, widths: Sequence[int] = _WIDTHS) -> None:
        super().__init__()
        check_counts("SmallConvNet", {"in_chans": in_chans, "widths": len(widths)})
        check_counts("SmallConvNet", {f"widths[{number}]": width for number, width in enumerate(widths)})
        self.in_chans = in_chans
        self.out_dim = widths[-1]
        self.blocks = nn.Sequential(*[_block(before, after) for before, after in pairwise((in_chans, *widths))])

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] to features (N, D)."""
        maps: Tensor = self.blocks(2 * images - 1)  # (N, D, h, w)
        return maps.mean(dim=(2, 3))  # (N, D)

    def cam_layer(self) -> CamLayer:
        """The last map."""
        return CamLayer(self.blocks, ())

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """One group per convolution."""
        return [list(block.parameters()) for block in self.blocks]


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )
