"""Local trust in a registration: its error in micrometres, and how alike the tissue looks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter  # type: ignore[import-untyped]

from pathfuse.register.blocks import weights
from pathfuse.register.compare import CLOSE_PX, close_step, compared, judged_um
from pathfuse.register.contract import Section
from pathfuse.register.field import Field, grid_points
from pathfuse.register.improve import FEW_CLOSE
from pathfuse.register.quality import Placed, placed_better
from pathfuse.register.transform import Transform

PITCH_UM = 50.0
REACH_UM = 150.0  # of what one patch says
FAR_UM = 1000.0  # the error where nothing is known
LEAST_SUM = 0.05
CLOSE_UM, CLOSE_STEP_PX = 4.0, 12  # of the look that sees what is left beside a tear, where a wide one sees a mean
BELIEVED = 0.1  # belief from which a patch of that look counts
TORN = 0.3  # change of a displacement per distance: tissue does not stretch by a third, it is torn or folded there
ACROSS_UM = 80.0  # over which the two sides of a tear are told apart
ERROR, SIMILARITY = 0, 1  # channels


def local_trust(fixed: Section, moving: Section, there: Transform, back: Transform | None) -> Field:
    """Error in micrometres and similarity over the fixed slide, (H, W, 2).

    The error is the largest of four: how far a place is from itself by the way there and back; how far patches around
    it would rather lie, by the mean of large ones and by the worst of small ones; and, where the displacement jumps as
    over a tear or a fold, the jump. None sees what misleads both ways alike. The similarity is the share of
    random placements that look less alike, 0.5 being chance.

    Args:
        fixed: the fixed section.
        moving: the moving section.
        there: from the fixed to the moving slide.
        back: found independently, from the moving to the fixed slide; None if there is none.
    """
    spacing = judged_um(fixed, moving)
    ours, theirs = fixed.view(spacing), moving.view(spacing)
    width, height = fixed.size_um
    shape = (max(1, round(height / PITCH_UM)), max(1, round(width / PITCH_UM)))
    pitch = (width / shape[1], height / shape[0])
    points = grid_points(shape, pitch)
    away = np.zeros(shape)
    if back is not None:
        away = np.hypot(*(back.forward(there.forward(points)) - points).T).reshape(shape)
    blocks = compared(ours, theirs, there)
    belief = weights(blocks)
    off = np.hypot(*(blocks.shifts * ours.pitch).T)
    places = (blocks.centres + 0.5) * ours.pitch
    residual, known = spread(places, off, belief, shape, pitch)
    error = np.maximum(away, np.where(known, residual, 0))
    error = np.maximum(error, _worst_nearby(fixed, moving, there, shape, pitch))
    error = np.maximum(error, jump(there, shape, pitch))
    placed: Placed = placed_better(ours, theirs, there)
    alike, near = spread((placed.centres + 0.5) * ours.pitch, placed.shares, np.ones(len(placed.shares)), shape, pitch)
    trust = np.stack([np.where(near, error, FAR_UM), np.where(near, alike, 0.0)], axis=-1)
    return Field(np.minimum(trust, FAR_UM).astype(np.float32), pitch)


def _worst_nearby(
    fixed: Section, moving: Section, there: Transform, shape: tuple[int, int], pitch: tuple[float, float]
) -> NDArray[np.float64]:
    """How far the worst of the small patches nearby would rather lie, (H, W) micrometres; 0 where none speaks."""
    worst = np.zeros(shape)
    ours, theirs = fixed.view(CLOSE_UM), moving.view(CLOSE_UM)
    step = close_step(ours, CLOSE_STEP_PX) or CLOSE_PX
    blocks = compared(ours, theirs, there, edge=CLOSE_PX, step=step)
    belief = weights(blocks)
    if not len(belief) or belief.mean() < FEW_CLOSE:
        return worst
    column, row = ((blocks.centres + 0.5) * ours.pitch / pitch).astype(int).T
    off = np.where(belief >= BELIEVED, np.hypot(*(blocks.shifts * ours.pitch).T), 0)
    np.maximum.at(worst, (row.clip(0, shape[0] - 1), column.clip(0, shape[1] - 1)), off)
    found: NDArray[np.float64] = maximum_filter(worst, _window(1.5 * step * ours.pitch[0], pitch))
    return found


def jump(there: Transform, shape: tuple[int, int], pitch: tuple[float, float]) -> NDArray[np.float64]:
    """What a displacement jumps by where it does, (H, W) micrometres: a place there may be laid on the wrong side."""
    if there.field is None:
        return np.zeros(shape)
    values, step = there.field.values, there.field.pitch
    slopes = [np.diff(values, axis=axis, prepend=values.take([0], axis)) / step[1 - axis] for axis in (0, 1)]
    strain = np.sqrt(sum((slope * slope).sum(axis=2) for slope in slopes))  # (H', W')
    sides = _window(ACROSS_UM / 2, step)
    by = [maximum_filter(plane, sides) - minimum_filter(plane, sides) for plane in np.moveaxis(values, 2, 0)]
    # As far as the next value of the result to either side, so that no place between is passed over.
    wide = _window((max(pitch) + max(step)) / 2, step)
    jumps = maximum_filter(np.where(strain >= TORN, np.hypot(*by), 0), wide)
    return Field(jumps[..., None].astype(np.float32), step).on(shape, pitch)[..., 0]


def _window(reach_um: float, pitch: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of a window that reaches that far to every side."""
    return 2 * math.ceil(reach_um / pitch[1]) + 1, 2 * math.ceil(reach_um / pitch[0]) + 1


def spread(
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
    shape: tuple[int, int],
    pitch: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values at places, (N,), as a smooth map (H, W), and where any place is near enough to say something."""
    total, sums = np.zeros(shape), np.zeros(shape)
    column, row = (places / pitch).astype(int).T if len(places) else (np.zeros(0, int), np.zeros(0, int))
    at = (row.clip(0, shape[0] - 1), column.clip(0, shape[1] - 1))
    np.add.at(total, at, weight)
    np.add.at(sums, at, weight * values)
    sigma = REACH_UM / pitch[0]
    amount, mean = (gaussian_filter(plane, sigma, mode="constant") for plane in (total, sums))
    least = LEAST_SUM / max(2 * np.pi * sigma**2, 1.0)  # of a patch that is believed in full, at its middle
    return mean / np.maximum(amount, 1e-12), amount >= least
