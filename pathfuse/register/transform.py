"""The map from one slide to another: an affine in micrometres after a displacement field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.register.field import Field, Points, grid_points

Matrix = NDArray[np.float64]  # (3, 3)
_STEPS = 30
_CLOSE_UM = 1e-3


@dataclass(frozen=True, eq=False)
class Transform:
    """Where a point of the fixed slide lies on the moving one: `matrix` of the point plus its displacement.

    Attributes:
        matrix: (3, 3) affine, micrometres of the fixed slide to micrometres of the moving one.
        field: displacements over the fixed slide; None bends nothing.
    """

    matrix: Matrix
    field: Field | None = None

    def forward(self, points: Points) -> Points:
        """Points (N, 2) of the fixed slide to the moving one, in micrometres."""
        moved = points if self.field is None else points + self.field.at(points)
        return apply(self.matrix, moved)

    def backward(self, points: Points) -> Points:
        """Points (N, 2) of the moving slide to the fixed one, in micrometres, by fixed-point iteration."""
        flat = apply(np.asarray(np.linalg.inv(self.matrix), np.float64), points)
        if self.field is None:
            return flat
        found = flat
        for _ in range(_STEPS):
            following = flat - self.field.at(found)
            done = not len(flat) or float(np.abs(following - found).max()) < _CLOSE_UM
            found = following
            if done:
                break
        return found

    @property
    def scale(self) -> float:
        """How much larger the tissue is on the moving slide."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))

    @property
    def mirrored(self) -> bool:
        """Whether the moving section lies face down."""
        return bool(np.linalg.det(self.matrix[:2, :2]) < 0)

    @property
    def degrees(self) -> float:
        """By how much the moving section is turned, from -180 to 180."""
        along = self.matrix[:2, 1]  # of the axis that a mirror leaves alone
        return float(np.degrees(np.arctan2(-along[0], along[1])))


def apply(matrix: Matrix, points: Points) -> Points:
    """An affine (3, 3) of points (N, 2)."""
    moved: Points = points @ matrix[:2, :2].T + matrix[:2, 2]
    return moved


def midway(there: Transform, back: Transform, shape: tuple[int, int], pitch: tuple[float, float]) -> Transform:
    """The mean of a transform and of the inverse of the way back, whose errors are partly others.

    Args:
        there: from the fixed to the moving slide.
        back: from the moving to the fixed slide.
        shape: of the grid on which the mean is taken, rows and columns over the fixed slide.
        pitch: micrometres between its points, across and down.
    """
    points = grid_points(shape, pitch)
    mean = (there.forward(points) + back.backward(points)) / 2
    flat = apply(np.asarray(np.linalg.inv(there.matrix), np.float64), mean) - points
    return Transform(there.matrix, Field(flat.reshape(*shape, 2).astype(np.float32), pitch))
