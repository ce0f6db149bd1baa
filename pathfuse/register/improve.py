"""Placements improved by what patches say: an affine fitted to their shifts, or every patch on its own."""

from __future__ import annotations

import numpy as np

from pathfuse.register.blocks import smoothed, stepped, weights
from pathfuse.register.compare import EDGE_PX, ENOUGH, STEP_PX, compared
from pathfuse.register.field import Field
from pathfuse.register.transform import Matrix, Transform
from pathfuse.register.views import View

POLISH_PX = 48
REACH_STEPS = 1.2  # how far a patch speaks for its neighbours
MEDIAN_STEPS = 2  # the same where a median is taken
LEAST_BELIEF = 2.0  # patches' worth of belief, below which they say nothing about the whole
FEW_CLEAR = 0.05  # mean belief in patches below which a finer look would add noise
FEW_CLOSE = 0.10  # the same of small patches: those of strangers reach 0.05 by chance, those of the next section 0.16


def shifted(
    fixed: View,
    moving: View,
    transform: Transform,
    *,
    edge: int = EDGE_PX,
    step: int = STEP_PX,
    least: float = FEW_CLEAR,
    torn: bool = False,
) -> Transform | None:
    """The transform with every patch moved to where it matches best; None where patches say too little.

    Args:
        fixed: seen from the fixed slide.
        moving: at about the same spacing.
        transform: from the fixed to the moving slide.
        edge: of a patch in pixels.
        step: between neighbours in pixels; the field is smooth over about that distance.
        least: mean belief in patches below which they say too little.
        torn: let the field jump where patches do, instead of making it smooth.
    """
    blocks = compared(fixed, moving, transform, edge=edge, step=step)
    belief = weights(blocks)
    if belief.sum() < LEAST_BELIEF or belief.mean() < least:
        return None
    shape = fixed.tissue.shape
    if torn:
        more = stepped(blocks, belief, shape, step=step, reach=MEDIAN_STEPS)
    else:
        more = smoothed(blocks, belief, shape, step=step, sigma=REACH_STEPS)
    before = 0.0 if transform.field is None else transform.field.on(shape, fixed.pitch)
    return Transform(transform.matrix, Field((before + more * np.array(fixed.pitch)).astype(np.float32), fixed.pitch))


def polished(fixed: View, moving: View, matrix: Matrix) -> Matrix:
    """The affine that best brings patches to where they match, by weighted least squares."""
    blocks = compared(fixed, moving, Transform(matrix), edge=POLISH_PX, step=POLISH_PX // 3, most=ENOUGH)
    belief = weights(blocks)
    if belief.sum() < LEAST_BELIEF:
        return matrix
    centres = (blocks.centres + 0.5) * fixed.pitch
    middle = centres.mean(axis=0)
    root = np.sqrt(belief)[:, None]
    columns = np.hstack([centres - middle, np.ones((len(centres), 1))])
    change, *_ = np.linalg.lstsq(columns * root, blocks.shifts * fixed.pitch * root, rcond=None)  # (3, 2)
    small = np.eye(3)
    small[:2, :2] += change[:2].T
    small[:2, 2] = change[2] - change[:2].T @ middle
    return matrix @ small
