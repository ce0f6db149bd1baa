"""The options of a cut: size and spacing of the patches, and which pairs are trusted."""

from __future__ import annotations

from dataclasses import dataclass

from pathfuse.errors import RecipeError
from pathfuse.slides.grid import PatchGrid


@dataclass(frozen=True, kw_only=True)
class PairCut:
    """How pairs are cut from registered slides, and which are trusted.

    Attributes:
        patch_px: edge of a patch in pixels; the usual ones are those of BCI.
        mpp: micrometres per pixel of a patch.
        overlap_px: pixels that neighbouring patches share.
        min_tissue: share of a patch that has to be tissue, on both slides.
        max_error_um: largest local error of the registration anywhere in a patch.
        min_similarity: least mean similarity of a patch; 0.5 is chance.
        review: use registrations that are to be looked at, as well as accepted ones.
    """

    patch_px: int = 1024
    mpp: float = 0.46
    overlap_px: int = 0
    min_tissue: float = 0.5
    max_error_um: float = 15.0
    min_similarity: float = 0.6
    review: bool = False

    def __post_init__(self) -> None:
        if self.patch_px < 8 or not self.mpp > 0 or not 0 <= self.overlap_px < self.patch_px:
            raise RecipeError(
                f"patch_px {self.patch_px}, mpp {self.mpp:g}, overlap_px {self.overlap_px}: give at least 8 pixels, a "
                "spacing above 0, and an overlap below the size."
            )
        if not (0 < self.min_tissue <= 1 and self.max_error_um > 0 and 0 <= self.min_similarity <= 1):
            raise RecipeError(
                f"min_tissue {self.min_tissue:g}, max_error_um {self.max_error_um:g}, min_similarity "
                f"{self.min_similarity:g}: give shares from 0 to 1 and an error above 0."
            )

    @property
    def grid(self) -> PatchGrid:
        """The grid on the fixed slide."""
        return PatchGrid(self.patch_px, self.mpp, self.overlap_px, self.min_tissue)

    def uses(self, verdict: str) -> bool:
        """Whether registrations with a verdict are cut."""
        return verdict == "accepted" or (self.review and verdict == "review")
