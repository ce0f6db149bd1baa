"""A slide brought onto another: every pixel is looked up at its mapped place, once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates  # type: ignore[import-untyped]

from pathfuse.register.transform import Transform
from pathfuse.register.views import Plane, View

BAND_PX = 1 << 20  # looked up at once: places are four times as large as what they look up


def warped(fixed: View, moving: View, transform: Transform) -> tuple[Plane, NDArray[np.bool_]]:
    """Density and tissue of the moving view on the pixels of the fixed one, each (H, W)."""
    density: Plane = np.empty(fixed.tissue.shape, np.float32)
    tissue = np.empty(fixed.tissue.shape, np.bool_)
    there = moving.tissue.astype(np.float32)
    for rows, place in _bands(fixed, moving, transform):
        shape = density[rows].shape
        density[rows] = map_coordinates(moving.density, place, order=1, output=np.float32).reshape(shape)
        tissue[rows] = map_coordinates(there, place, order=1).reshape(shape) > 0.5
    return density, tissue


def warped_rgb(fixed: View, moving: View, transform: Transform) -> NDArray[np.uint8]:
    """The picture of the moving view on the pixels of the fixed one, (H, W, 3); white outside."""
    picture = np.empty((*fixed.tissue.shape, 3), np.uint8)
    for rows, place in _bands(fixed, moving, transform):
        for channel in range(3):
            values = map_coordinates(moving.rgb[..., channel], place, order=1, cval=255)
            picture[rows, :, channel] = values.reshape(-1, picture.shape[1])
    return picture


def _bands(fixed: View, moving: View, transform: Transform) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Some rows at a time, and (2, N) row and column of their pixels on the moving view."""
    height, width = fixed.tissue.shape
    step = max(1, BAND_PX // width)
    x = (np.arange(width) + 0.5) * fixed.pitch[0]
    for top in range(0, height, step):
        rows = slice(top, min(height, top + step))
        y = (np.arange(rows.start, rows.stop) + 0.5) * fixed.pitch[1]
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        yield rows, (transform.forward(points) / moving.pitch - 0.5).T[::-1].astype(np.float32)
