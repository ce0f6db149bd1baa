"""A slide brought onto another: every pixel is looked up at its mapped place, once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates  # type: ignore[import-untyped]

from pathfuse.register.field import grid_points
from pathfuse.register.transform import Transform
from pathfuse.register.views import Plane, View


def warped(fixed: View, moving: View, transform: Transform) -> tuple[Plane, NDArray[np.bool_]]:
    """Density and tissue of the moving view on the pixels of the fixed one, each (H, W)."""
    shape = fixed.tissue.shape
    place = (transform.forward(grid_points(shape, fixed.pitch)) / moving.pitch - 0.5).T[::-1].astype(np.float32)
    density: Plane = map_coordinates(moving.density, place, order=1, output=np.float32).reshape(shape)
    tissue = map_coordinates(moving.tissue.astype(np.float32), place, order=1).reshape(shape) > 0.5
    return density, tissue


def warped_rgb(fixed: View, moving: View, transform: Transform) -> NDArray[np.uint8]:
    """The picture of the moving view on the pixels of the fixed one, (H, W, 3); white outside."""
    shape = fixed.tissue.shape
    place = (transform.forward(grid_points(shape, fixed.pitch)) / moving.pitch - 0.5).T[::-1].astype(np.float32)
    channels = [map_coordinates(moving.rgb[..., k], place, order=1, cval=255).reshape(shape) for k in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
