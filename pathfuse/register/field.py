"""Displacement fields: how far every place of a slide is moved, in micrometres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates  # type: ignore[import-untyped]

Points = NDArray[np.float64]  # (N, 2) x and y in micrometres


@dataclass(frozen=True, eq=False)
class Field:
    """Values on a grid over a slide, linear between, constant beyond its edge.

    Attributes:
        values: (H, W, K) float32; of a displacement K is 2, x and y in micrometres.
        pitch: micrometres between values, across and down; value (0, 0) lies at half of it.
    """

    values: NDArray[np.float32]
    pitch: tuple[float, float]

    def at(self, points: Points) -> NDArray[np.float64]:
        """(N, K) values at points."""
        place = (points / self.pitch - 0.5).T[::-1]  # rows, columns
        columns = [
            map_coordinates(self.values[..., k], place, order=1, mode="nearest", output=np.float64)
            for k in range(self.values.shape[2])
        ]
        return np.stack(columns, axis=1)

    def on(self, shape: tuple[int, int], pitch: tuple[float, float]) -> NDArray[np.float64]:
        """(H, W, K) values on another grid over the same slide."""
        return self.at(grid_points(shape, pitch)).reshape(*shape, -1)


def grid_points(shape: tuple[int, int], pitch: tuple[float, float]) -> Points:
    """Middles of all pixels of a picture of a slide, (H * W, 2), row by row."""
    x = (np.arange(shape[1]) + 0.5) * pitch[0]
    y = (np.arange(shape[0]) + 0.5) * pitch[1]
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
