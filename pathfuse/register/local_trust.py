"""Local trust in a registration: its error in micrometres, and how alike the tissue looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from pathfuse.register.blocks import weights
from pathfuse.register.compare import compared, judged_um
from pathfuse.register.contract import Section
from pathfuse.register.field import Field, grid_points
from pathfuse.register.quality import Placed, placed_better
from pathfuse.register.transform import Transform

PITCH_UM = 50.0
REACH_UM = 150.0  # of what one patch says
FAR_UM = 1000.0  # the error where nothing is known
LEAST_SUM = 0.05
ERROR, SIMILARITY = 0, 1  # channels


def local_trust(fixed: Section, moving: Section, there: Transform, back: Transform | None) -> Field:
    """Error in micrometres and similarity over the fixed slide, (H, W, 2).

    The error is the larger of two: how far a place is from itself by the way there and back, and how far patches around
    it would rather lie. Neither sees what misleads both ways alike, so it is a lower bound. The similarity is the share
    of random placements that look less alike, 0.5 being chance.

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
    placed: Placed = placed_better(ours, theirs, there)
    alike, near = spread((placed.centres + 0.5) * ours.pitch, placed.shares, np.ones(len(placed.shares)), shape, pitch)
    trust = np.stack([np.where(near, error, FAR_UM), np.where(near, alike, 0.0)], axis=-1)
    return Field(np.minimum(trust, FAR_UM).astype(np.float32), pitch)


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
