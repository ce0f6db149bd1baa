"""Places of pairs on the fixed slide, and the reasons for those that are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.pairs.cut import lies_beyond
from pathfuse.pairs.options import PairCut
from pathfuse.register.contract import Section
from pathfuse.register.files.record import Record
from pathfuse.register.local_trust import ERROR, FAR_UM, SIMILARITY
from pathfuse.register.views import TISSUE_UM
from pathfuse.register.warp import warped
from pathfuse.slides.grid import tissue_share

LOOKS = 5  # places along an edge of a patch at which its error is asked
NO_PARTNER, ERRS, DIFFERS = "no tissue on the other slide", "local error", "similarity"


@dataclass(frozen=True)
class Place:
    """One patch of the fixed slide.

    Attributes:
        x: left in level-0 pixels.
        y: top in level-0 pixels.
        error_um: largest local error in it.
        similarity: its mean similarity.
        why_not: the reason to leave it out; empty for a pair to cut.
    """

    x: int
    y: int
    error_um: float
    similarity: float
    why_not: str = ""


def places(record: Record, fixed: Section, moving: Section, cut: PairCut) -> list[Place]:
    """The patches of the fixed slide that show tissue, each with what is known of it.

    Raises:
        ImageError: if the fixed slide is coarser than the grid.
    """
    ours, theirs = fixed.view(TISSUE_UM), moving.view(TISSUE_UM)
    grid = cut.grid
    size, step = grid.size_level0(fixed.slide), grid.step_level0(fixed.slide)
    xs, ys = (np.arange(0, edge - size + 1, step, dtype=np.int64) for edge in fixed.slide.size)
    if not len(xs) or not len(ys):
        return []
    _, there = warped(ours, theirs, record.transform)
    mine, other = (tissue_share(mask, fixed.slide.size, xs, ys, size) for mask in (ours.tissue, there))
    found = []
    for row, column in zip(*np.nonzero(mine >= cut.min_tissue - 1e-9), strict=True):
        x, y = int(xs[column]), int(ys[row])
        corner, edge = (x * fixed.slide.mpp, y * fixed.slide.mpp), size * fixed.slide.mpp
        error, similarity = _trust(record, *corner, edge)
        why = _why_not(float(other[row, column]), error, similarity, cut)
        if not why and lies_beyond(moving.slide, record.transform, corner, cut.patch_px, edge / cut.patch_px):
            why = NO_PARTNER
        found.append(Place(x, y, error, similarity, why))
    return found


def _trust(record: Record, left: float, top: float, edge: float) -> tuple[float, float]:
    """The largest error and the mean similarity in a square, in micrometres."""
    step = (np.arange(LOOKS) + 0.5) / LOOKS * edge
    points: NDArray[np.float64] = np.stack(np.meshgrid(left + step, top + step), axis=-1).reshape(-1, 2)
    known = record.trust.at(points)
    return float(known[:, ERROR].max()), float(known[:, SIMILARITY].mean())


def _why_not(tissue: float, error: float, similarity: float, cut: PairCut) -> str:
    if tissue < cut.min_tissue - 1e-9:
        return NO_PARTNER
    if error > min(cut.max_error_um, FAR_UM - 1):
        return ERRS
    return DIFFERS if similarity < cut.min_similarity else ""
