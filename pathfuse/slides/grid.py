"""Grids of patches in level-0 pixels, thinned to the tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import ImageError
from pathfuse.slides.slide import SNAP, Slide
from pathfuse.slides.tissue import Mask

Coords = NDArray[np.int64]
BLOCK = 4  # patches
MAX_ENLARGEMENT = 1.1  # of level 0: 0.55 um per px may be read as 0.5, not 1.0


@dataclass(frozen=True)
class PatchGrid:
    """Size and spacing of patches.

    Attributes:
        size_px: edge of a patch as the encoder gets it.
        mpp: micrometres per pixel of that patch.
        overlap_px: pixels that neighbours share.
        min_tissue: share of a patch that must be tissue.
    """

    size_px: int = 256
    mpp: float = 0.5
    overlap_px: int = 0
    min_tissue: float = 0.5

    def size_level0(self, slide: Slide) -> int:
        """Edge of a patch in level-0 pixels, a whole number.

        Where the slide's own pixels, or a whole number of them, are within 0.5 % of the asked spacing, they are taken
        as they are: resampling would only blur them. Otherwise the edge is rounded to whole pixels, which changes
        the spacing by less than 0.5 / size_px.

        Raises:
            ImageError: if the slide is too coarse for the spacing, or its spacing is unknown.
        """
        ratio = self.mpp / slide.mpp  # level-0 pixels per pixel of the patch
        if ratio * MAX_ENLARGEMENT < 1:
            raise ImageError(
                f"{slide.path} has {slide.mpp:.4g} um per pixel, which is coarser than {self.mpp:g}. Ask for --mpp "
                f"{slide.mpp:.3g} or more."
            )
        whole = max(1, round(ratio))
        if abs(ratio / whole - 1) < SNAP:
            return whole * self.size_px
        return max(1, round(self.size_px * ratio))

    def step_level0(self, slide: Slide) -> int:
        """Distance of neighbours in level-0 pixels."""
        return max(1, round(self.size_level0(slide) * (1 - self.overlap_px / self.size_px)))

    def coords(self, slide: Slide, mask: Mask) -> Coords:
        """Top-left corners (N, 2), x and y in level-0 pixels, of the patches with enough tissue.

        The grid starts at (0, 0); a patch that would reach over the edge of the slide is left out. The order is block
        by block, 4 x 4 patches each: neighbours share stored tiles, which are then decoded once.
        """
        size, step = self.size_level0(slide), self.step_level0(slide)
        xs, ys = (np.arange(0, edge - size + 1, step, dtype=np.int64) for edge in slide.size)
        if not len(xs) or not len(ys):
            return np.empty((0, 2), np.int64)
        share = tissue_share(mask, slide.size, xs, ys, size)  # (rows, columns)
        rows, columns = np.nonzero((share >= self.min_tissue - 1e-9) & (share > 0))
        order = np.lexsort((columns, rows, columns // BLOCK, rows // BLOCK))
        return np.stack([xs[columns[order]], ys[rows[order]]], axis=1)


def tissue_share(mask: Mask, size: tuple[int, int], xs: Coords, ys: Coords, edge: int) -> NDArray[np.float64]:
    """Share of tissue in each square of a grid, (len(ys), len(xs)), exact for the mask's pixels as squares."""
    height, width = mask.shape
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    across, down = width / size[0], height / size[1]  # mask pixels per level-0 pixel

    def at(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tissue above and to the left of points; the sum is linear within a pixel along either axis."""
        top, left = rows.astype(int).clip(0, height - 1), columns.astype(int).clip(0, width - 1)
        down_share, right_share = (rows - top)[:, None], (columns - left)[None]
        upper = total[np.ix_(top, left)] * (1 - right_share) + total[np.ix_(top, left + 1)] * right_share
        lower = total[np.ix_(top + 1, left)] * (1 - right_share) + total[np.ix_(top + 1, left + 1)] * right_share
        result: NDArray[np.float64] = upper * (1 - down_share) + lower * down_share
        return result

    top, bottom, left, right = ys * down, (ys + edge) * down, xs * across, (xs + edge) * across
    inside = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
    share: NDArray[np.float64] = inside / (edge * edge * across * down)
    return share
