"""Rivals of a placement: how well the same two tissues can be laid on each other in any other way.

Two slides that have nothing to do with each other can always be laid so that they look a little alike, and the smaller
the tissue, the better. The best of many such ways is what a method finds. It is told from the true one by what comes
second: of unrelated tissue the second best is about as good, of the same tissue it is far worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.register.compare import coarse_um, judged_um, textures
from pathfuse.register.contract import Section
from pathfuse.register.improve import polished, shifted
from pathfuse.register.method.start import Start, apart, each_turn
from pathfuse.register.transform import Transform
from pathfuse.register.views import View

RIVALS = 8
ELSEWHERE = 0.15  # of the tissue's extent: a placement that far off is another one
LONGEST_PX = 512  # of the views that they are compared on; large tissue is told apart by its coarse structure
_LEAST_PX = 50  # of tissue on tissue


@dataclass(frozen=True)
class Lead:
    """How far a placement leads.

    Attributes:
        own: likeness of the two tissues as placed: correlation of their textures where both are, times the root of the
            overlap, which says how rare that is.
        best_other: the same of the best other placement.
    """

    own: float
    best_other: float

    @property
    def lead(self) -> float:
        """The difference."""
        return self.own - self.best_other


def lead_of(fixed: Section, moving: Section, there: Transform) -> Lead:
    """Compares a placement with the best others: every turn, both handednesses, each improved like the first.

    Args:
        fixed: the fixed section.
        moving: the moving section.
        there: from the fixed to the moving slide.
    """
    fine = max(judged_um(fixed, moving), max(*fixed.size_um, *moving.size_um) / LONGEST_PX)
    coarse = coarse_um(fixed, moving)
    ours, theirs = fixed.view(fine), moving.view(fine)
    points = fixed.view(coarse).points(4)
    placed = there.forward(points)
    extent = float(np.ptp(placed, axis=0).max()) if len(placed) else 0.0
    best = 0.0
    for start in _elsewhere(fixed.view(coarse), moving.view(coarse), points, placed, extent):
        other = _improved(fixed, moving, start, (coarse, fine))
        if _median_distance(other.forward(points), placed) >= ELSEWHERE * extent:
            best = max(best, likeness(ours, theirs, other))
    return Lead(likeness(ours, theirs, there), best)


def likeness(fixed: View, moving: View, transform: Transform) -> float:
    """Correlation of the textures where both have tissue, times the root of that area's share of the smaller tissue."""
    ours, theirs, both = textures(fixed, moving, transform)
    area = int(np.count_nonzero(both))
    if area < _LEAST_PX:
        return 0.0
    mine, other = (plane[both] - plane[both].mean() for plane in (ours, theirs))
    length = math.sqrt(float((mine * mine).sum()) * float((other * other).sum()))
    pixel = fixed.pitch[0] * fixed.pitch[1] * 1e-6
    share = area * pixel / max(min(fixed.tissue_mm2, moving.tissue_mm2), pixel)
    return float((mine * other).sum()) / max(length, 1e-9) * math.sqrt(min(share, 1.0))


def _elsewhere(
    fixed: View, moving: View, points: NDArray[np.float64], placed: NDArray[np.float64], extent: float
) -> list[Transform]:
    """The best coarse placements that are other ones, by texture."""
    chosen: list[Start] = []
    for start in sorted(each_turn(fixed, moving), key=lambda one: -one.score):
        if len(chosen) >= RIVALS:
            break
        if _median_distance(Transform(start.matrix).forward(points), placed) < ELSEWHERE * extent:
            continue
        if all(apart(start, other, fixed) for other in chosen):
            chosen.append(start)
    return [Transform(start.matrix) for start in chosen]


def _improved(fixed: Section, moving: Section, start: Transform, spacings: tuple[float, float]) -> Transform:
    matrix = start.matrix
    for um in spacings:
        for _ in range(2):
            matrix = polished(fixed.view(um), moving.view(um), matrix)
    found = Transform(matrix)
    for _ in range(2):
        found = shifted(fixed.view(spacings[1]), moving.view(spacings[1]), found) or found
    return found


def _median_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.median(np.hypot(*(one - other).T))) if len(one) else 0.0
