"""A tissue rule: tissue is darker than glass."""

from pathfuse.slides import Mask, Pixels, Tissue


class TinyTissue(Tissue):
    """Every pixel whose channels are on average below a limit.

    Args:
        limit: grey level of glass.
    """

    def __init__(self, *, limit: float = 225.0) -> None:
        self.limit = limit

    def __call__(self, overview: Pixels, mpp: float) -> Mask:
        """Which pixels are tissue, (H, W)."""
        dark: Mask = overview.mean(axis=2) < self.limit
        return dark
