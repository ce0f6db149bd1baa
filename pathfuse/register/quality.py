"""Quality of a registration, measured without landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pathfuse.register.blocks import match
from pathfuse.register.compare import judged_um, textures
from pathfuse.register.contract import Section
from pathfuse.register.field import Points
from pathfuse.register.rivals import lead_of
from pathfuse.register.transform import Transform
from pathfuse.register.views import View
from pathfuse.register.warp import warped

Verdict = Literal["accepted", "review", "refused"]

# Chosen by `benchmarks/trials/registration_limits.py`; docs/registration.md says how far that experiment went.
REFUSE_LEAD, REVIEW_LEAD = 0.05, 0.08  # over the best other placement
REFUSE_BELOW, REVIEW_BELOW = 0.70, 0.75  # of similarity
REFUSE_ABOVE, REVIEW_ABOVE = 40.0, 20.0  # of inconsistency, in micrometres
LEAST_OVERLAP = 0.3
EDGE_PX, STEP_PX = 24, 12
APART_PX = 48.0  # patches nearer than this show a part of the same tissue
DRAWS = 20
LEAST_PATCHES = 6
ERROR_UM = 50.0  # spacing of the map of errors


@dataclass(frozen=True)
class Quality:
    """What was measured of a registration.

    Attributes:
        likeness: correlation of the textures as placed, times the root of the overlap.
        lead: by how much that is more than in the best other placement; of unrelated tissue about 0.
        similarity: share of random placements of the same tissue that look less alike than this one; 0.5 is chance.
        consistency_um: median distance between a place and where it comes back to, by the way there and the
            way back; None if there is only one way.
        consistency_p90_um: the same, 90th percentile.
        overlap: of the tissues, as a share of the smaller one.
        patches: how many patches were compared.
    """

    likeness: float
    lead: float
    similarity: float
    consistency_um: float | None
    consistency_p90_um: float | None
    overlap: float
    patches: int

    @property
    def problems(self) -> list[str]:
        """Which refusing limits it fails, in words."""
        found = []
        if not self.lead >= REFUSE_LEAD:
            found.append(f"the best other placement is as good (lead {self.lead:.2f}, {REFUSE_LEAD:g} is needed)")
        if self.patches < LEAST_PATCHES:
            found.append(f"only {self.patches} patches could be compared, {LEAST_PATCHES} are needed")
        elif self.similarity < REFUSE_BELOW:
            found.append(f"similarity {self.similarity:.2f} is below {REFUSE_BELOW:.2f}")
        if self.consistency_um is not None and not self.consistency_um <= REFUSE_ABOVE:
            found.append(f"there and back differ by {self.consistency_um:.0f} um, more than {REFUSE_ABOVE:g}")
        if self.overlap < LEAST_OVERLAP:
            found.append(f"tissues overlap by {self.overlap:.0%}, less than {LEAST_OVERLAP:.0%}")
        return found

    @property
    def doubts(self) -> list[str]:
        """Which limits of review it fails, in words."""
        found = []
        if self.lead < REVIEW_LEAD:
            found.append(f"the best other placement is almost as good (lead {self.lead:.2f})")
        if self.similarity < REVIEW_BELOW:
            found.append(f"similarity {self.similarity:.2f} is below {REVIEW_BELOW:.2f}")
        if self.consistency_um is not None and self.consistency_um > REVIEW_ABOVE:
            found.append(f"there and back differ by {self.consistency_um:.0f} um, more than {REVIEW_ABOVE:g}")
        return found

    @property
    def verdict(self) -> Verdict:
        """Whether it may be used."""
        return "refused" if self.problems else "review" if self.doubts else "accepted"


@dataclass(frozen=True, eq=False)
class Placed:
    """How patches compare with random placements.

    Attributes:
        centres: (N, 2) column and row of their middles.
        shares: (N,) share of random placements that look less alike.
    """

    centres: NDArray[np.float64]
    shares: NDArray[np.float64]


def measure(fixed: Section, moving: Section, there: Transform, back: Transform | None) -> Quality:
    """Measures a registration, by its two directions where they were found independently.

    Args:
        fixed: the fixed section.
        moving: the moving section.
        there: from the fixed to the moving slide.
        back: from the moving to the fixed slide; None if it was not found by itself.
    """
    spacing = judged_um(fixed, moving)
    ours, theirs = fixed.view(spacing), moving.view(spacing)
    placed = placed_better(ours, theirs, there)
    similarity = float(placed.shares.mean()) if len(placed.shares) else 0.0
    _, tissue = warped(ours, theirs, there)
    both = np.count_nonzero(ours.tissue & tissue)
    smaller = min(ours.tissue_mm2, theirs.tissue_mm2) * 1e6 / (ours.pitch[0] * ours.pitch[1])
    middle: float | None = None
    high: float | None = None
    if back is not None:
        off = round_trip(ours, tissue, there, back)
        middle, high = (float(np.percentile(off, share)) if len(off) else float("inf") for share in (50, 90))
    found = lead_of(fixed, moving, there)
    return Quality(
        found.own, found.lead, similarity, middle, high, min(1.0, float(both / max(smaller, 1.0))), len(placed.shares)
    )


def placed_better(fixed: View, moving: View, transform: Transform) -> Placed:
    """Compares the patches that a transform puts together with random pairs of patches of the same tissue."""
    ours, theirs, both = textures(fixed, moving, transform)
    blocks = match(ours, theirs, both, edge=EDGE_PX, step=STEP_PX, reach=0)
    corners = np.rint(blocks.centres - (EDGE_PX - 1) / 2).astype(int)
    if len(corners) < 2:
        return Placed(np.zeros((0, 2)), np.zeros(0))
    mine, other = (_normalised(plane, corners) for plane in (ours, theirs))
    rng = np.random.default_rng(0)
    shares = np.full(len(corners), np.nan)
    for row, centre in enumerate(blocks.centres):
        far = np.flatnonzero(np.hypot(*(blocks.centres - centre).T) >= APART_PX)
        if len(far):
            turned = _turned(other[rng.choice(far, DRAWS)], rng.integers(0, 8, DRAWS))
            random = np.einsum("dij,ij->d", turned, mine[row])
            shares[row] = float((random < float((mine[row] * other[row]).sum())).mean())
    known = np.isfinite(shares)
    return Placed(blocks.centres[known], shares[known])


def _normalised(plane: NDArray[np.float32], corners: NDArray[np.int64]) -> NDArray[np.float32]:
    plane = np.pad(plane, ((0, EDGE_PX), (0, EDGE_PX)))  # a picture may be smaller than a patch
    patches = np.stack([plane[y : y + EDGE_PX, x : x + EDGE_PX] for x, y in corners])  # (n, edge, edge)
    patches = patches - patches.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((patches * patches).sum(axis=(1, 2), keepdims=True))
    unit: NDArray[np.float32] = patches / np.maximum(length, 1e-6)
    return unit


def _turned(patches: NDArray[np.float32], which: NDArray[np.int64]) -> NDArray[np.float32]:
    """Every patch in one of the eight ways to lay a square."""
    laid = [np.rot90(one[:, ::-1] if kind >= 4 else one, kind % 4) for one, kind in zip(patches, which, strict=True)]
    return np.stack(laid)


def round_trip(fixed: View, tissue: NDArray[np.bool_], there: Transform, back: Transform) -> NDArray[np.float64]:
    """How far places with tissue on both slides end from themselves, there and back, (N,) micrometres."""
    points = _places(fixed, fixed.tissue & tissue)
    off: NDArray[np.float64] = np.hypot(*(back.forward(there.forward(points)) - points).T)
    return off


def _places(fixed: View, where: NDArray[np.bool_]) -> Points:
    step = max(1, min(where.shape) // 64)
    rows, columns = np.nonzero(where[::step, ::step])
    return np.asarray((np.stack([columns, rows], axis=1) * step + 0.5) * fixed.pitch, np.float64)
