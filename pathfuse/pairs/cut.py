"""A patch of the moving slide as it lies on the fixed one: looked up once, white where the slide ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.register.files.record import Record
from pathfuse.register.transform import Transform
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide

MESH_PX = 64  # within a square that large the map is taken as bilinear; fields bend over distances ten times as long
_MARGIN = 2
_MAX_REGION_PX = 1 << 27  # a map that tears a patch apart; nothing sensible lies there


def cut_moved(moving: Slide, transform: Transform, corner_um: tuple[float, float], size_px: int, mpp: float) -> Pixels:
    """A square of the fixed slide, seen on the moving one, (size_px, size_px, 3).

    Args:
        moving: open.
        transform: from the fixed to the moving slide.
        corner_um: left and top of the square on the fixed slide, in micrometres.
        size_px: edge of the result.
        mpp: micrometres per pixel of the result, on the fixed slide.

    Returns:
        The pixels; white where the moving slide ends, and all of it where the square lies beyond that slide.
    """
    steps = _steps(size_px)
    found = _region(moving, transform, corner_um, size_px, mpp)
    if found is None:
        return np.full((size_px, size_px, 3), 255, np.uint8)
    factor, (left, top, wide, tall) = found.factor, found.box
    read = moving.read_level(found.level, left * factor, top * factor, wide * factor, tall * factor)
    region = Image.fromarray(read).reduce(factor) if factor > 1 else Image.fromarray(read)
    local = (found.places - (left, top)).reshape(len(steps), len(steps), 2)
    moved = region.transform(
        (size_px, size_px), Image.Transform.MESH, _mesh(steps, local), Image.Resampling.BILINEAR, fillcolor="white"
    )
    return np.asarray(moved)


def moved_patch(record: Record, moving: Slide, corner: tuple[int, int], size_level0: int, size_px: int) -> Pixels:
    """The partner of a patch of the fixed slide, (size_px, size_px, 3).

    Args:
        record: the registration.
        moving: its moving slide, open.
        corner: left and top of the patch, in level-0 pixels of the fixed slide.
        size_level0: its edge there.
        size_px: edge of the result.
    """
    mpp = record.fixed.mpp
    return cut_moved(moving, record.transform, (corner[0] * mpp, corner[1] * mpp), size_px, size_level0 * mpp / size_px)


def lies_beyond(moving: Slide, transform: Transform, corner_um: tuple[float, float], size_px: int, mpp: float) -> bool:
    """Whether all of a square of the fixed slide lies beyond the moving one, or the map tears it apart."""
    return _region(moving, transform, corner_um, size_px, mpp) is None


@dataclass(frozen=True, eq=False)
class _Region:
    """What to read for a square: level, by how much to reduce it, the box, and the mesh's places in its pixels."""

    level: int
    factor: int
    box: tuple[int, int, int, int]
    places: NDArray[np.float64]


def _region(
    moving: Slide, transform: Transform, corner_um: tuple[float, float], size_px: int, mpp: float
) -> _Region | None:
    steps = _steps(size_px)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)  # columns, rows
    places = transform.forward(np.array(corner_um) + grid * mpp) / moving.mpp  # (N, 2) level-0 pixels
    low, high = places.min(axis=0), places.max(axis=0)
    if (high <= 0).any() or (low >= moving.size).any():
        return None
    level, factor = _level(moving, mpp * transform.scale / moving.mpp)
    down = moving.levels[level].downsample * factor
    left, top = (math.floor(value / down) - _MARGIN for value in low)
    wide, tall = (math.ceil(value / down) + _MARGIN - start for value, start in zip(high, (left, top), strict=True))
    if wide * tall * factor**2 > _MAX_REGION_PX:
        return None
    return _Region(level, factor, (left, top, wide, tall), places / down)


def _steps(size_px: int) -> NDArray[np.int64]:
    return np.unique(np.append(np.arange(0, size_px, MESH_PX), size_px))


def _level(slide: Slide, downsample: float) -> tuple[int, int]:
    """The level to read and by how much to reduce it, so that a pixel is no finer than half of what is asked."""
    level = slide.level_for(downsample)
    return level, max(1, int(downsample / slide.levels[level].downsample + 0.25))


def _mesh(
    steps: NDArray[np.int64], places: NDArray[np.float64]
) -> list[tuple[tuple[int, int, int, int], tuple[float, ...]]]:
    """Squares of the result, each with the four places (upper left, lower left, lower right, upper right) it shows."""
    mesh = []
    for row in range(len(steps) - 1):
        for column in range(len(steps) - 1):
            box = (int(steps[column]), int(steps[row]), int(steps[column + 1]), int(steps[row + 1]))
            corners = ((row, column), (row + 1, column), (row + 1, column + 1), (row, column + 1))
            quad = tuple(float(value) for corner in corners for value in places[corner])
            mesh.append((box, quad))
    return mesh
