"""Coarse starts: every turn and both handednesses, each at its best displacement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2  # type: ignore[import-untyped]
from scipy.ndimage import affine_transform, gaussian_filter  # type: ignore[import-untyped]

from pathfuse.register.views import Plane, View, texture

Matrix = NDArray[np.float64]  # (3, 3), micrometres of the fixed slide to micrometres of the moving one
STEP_DEG = 6
LEAST_OVERLAP = 0.3  # of the smaller tissue
_SMOOTH_PX = 1.5
_AROUND_PX = 8.0
_SPREAD = 0.05  # of the longer edge; starts nearer than this with a like turn are one


@dataclass(frozen=True, eq=False)
class Start:
    """A rigid placement to begin with.

    Attributes:
        matrix: (3, 3).
        score: similarity of the two textures times the square root of the overlap, which says how rare it is.
        outline: intersection over union of the tissues.
    """

    matrix: Matrix
    score: float
    outline: float


def starts(fixed: View, moving: View, count: int) -> list[Start]:
    """The best placements of the moving tissue on the fixed one, about two thirds by texture and the rest by outline.

    Args:
        fixed: at a spacing of about 150 to 250 pixels along the longer edge.
        moving: at the same spacing.
        count: how many, at most; none where there is no tissue.
    """
    if not fixed.tissue.any() or not moving.tissue.any():
        return []
    found = each_turn(fixed, moving)
    by_outline = max(1, count // 3)
    chosen: list[Start] = []
    for limit, order in ((count - by_outline, "score"), (count, "outline")):
        for start in sorted(found, key=lambda one: -float(getattr(one, order))):
            if len(chosen) >= limit:
                break
            if all(apart(start, other, fixed) for other in chosen):
                chosen.append(start)
    return chosen


def apart(one: Start, other: Start, fixed: View) -> bool:
    """Whether two starts are two, and not one that was found twice."""
    apart_um = _SPREAD * max(fixed.tissue.shape) * fixed.mpp
    same_turn = np.abs(one.matrix[:2, :2] - other.matrix[:2, :2]).max() < np.deg2rad(1.6 * STEP_DEG)
    return not same_turn or float(np.hypot(*(one.matrix[:2, 2] - other.matrix[:2, 2]))) > apart_um


@lru_cache(maxsize=2)  # what lays them is measured by them a moment later
def each_turn(fixed: View, moving: View) -> tuple[Start, ...]:
    """The best displacements of every turn of both handednesses, by texture and by outline."""
    return tuple(_each_turn(fixed, moving))


def _each_turn(fixed: View, moving: View) -> Iterator[Start]:
    pad = float(np.hypot(*moving.tissue.shape))
    shape = tuple(next_fast_len(int(edge + pad) + 1, real=True) for edge in fixed.tissue.shape)
    ours = _Spectra.of(_contrast(fixed), fixed.tissue.astype(np.float32), shape)
    contrast, tissue = _contrast(moving), moving.tissue.astype(np.float32)
    smaller = int(min(np.count_nonzero(fixed.tissue), np.count_nonzero(moving.tissue)))
    for mirrored in (False, True):
        for degrees in range(0, 360, STEP_DEG):
            turn = _turn(np.deg2rad(degrees), mirrored)
            turned, size = _turned(contrast, turn)
            there = _turned(tissue, turn)[0]
            yield from _placed(ours, _Spectra.of(turned, there, shape), turn, size, (fixed, moving), smaller)


def _contrast(of: View) -> Plane:
    contrast: Plane = gaussian_filter(texture(of.density, of.tissue, _AROUND_PX), _SMOOTH_PX) * of.tissue
    return contrast


def _turn(angle: float, mirrored: bool) -> Matrix:
    """(2, 2): displacements on the turned picture to displacements on the moving slide."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn: Matrix = np.diag([-1.0 if mirrored else 1.0, 1.0]) @ np.array([[cos, -sin], [sin, cos]])
    return turn


def _turned(plane: Plane, turn: Matrix) -> tuple[Plane, tuple[int, int]]:
    """The moving picture turned about its middle onto a canvas that holds all of it."""
    height, width = plane.shape
    across, down = np.abs(turn.T) @ (width, height)
    size = (int(np.ceil(down)), int(np.ceil(across)))
    swapped = turn[::-1, ::-1]  # rows first
    offset = (np.array(plane.shape) - 1) / 2 - swapped @ ((np.array(size) - 1) / 2)
    return affine_transform(plane, swapped, offset, output_shape=size, order=1), size


@dataclass(frozen=True, eq=False)
class _Spectra:
    """Fourier transforms of a texture, its square, and where it is."""

    contrast: NDArray[np.complex64]
    square: NDArray[np.complex64]
    there: NDArray[np.complex64]
    shape: tuple[int, int]

    @classmethod
    def of(cls, contrast: Plane, there: Plane, shape: tuple[int, ...]) -> _Spectra:
        of_contrast, of_square, of_there = (rfft2(plane, shape) for plane in (contrast, contrast * contrast, there))
        return cls(of_contrast, of_square, of_there, (shape[0], shape[1]))


def _placed(
    fixed: _Spectra,
    moving: _Spectra,
    turn: Matrix,
    size: tuple[int, int],
    views: tuple[View, View],
    smaller: int,
) -> Iterator[Start]:
    """The best displacements of one turn, by texture and by outline."""

    def correlated(ours: NDArray[np.complex64], theirs: NDArray[np.complex64]) -> Plane:
        found: Plane = irfft2(ours * np.conj(theirs), fixed.shape)
        return found

    overlap = correlated(fixed.there, moving.there)
    own = correlated(fixed.square, moving.there) * correlated(fixed.there, moving.square)
    alike = correlated(fixed.contrast, moving.contrast) / np.sqrt(np.maximum(own, 1.0))
    enough = overlap >= LEAST_OVERLAP * smaller
    score = np.where(enough, alike * np.sqrt(np.maximum(overlap, 0) / smaller), -1)
    areas = float(fixed.there[0, 0].real + moving.there[0, 0].real)
    outline = overlap / np.maximum(areas - overlap, 1.0)
    for best in {int(score.argmax()), int(outline.argmax())}:
        place = np.unravel_index(best, fixed.shape)
        # The transform is cyclic: what lies beyond half of what can be reached is a negative displacement.
        at = [int(p) - n if p >= n - s else int(p) for p, n, s in zip(place, fixed.shape, size, strict=True)]
        matrix = _matrix(turn, at, size, views)
        yield Start(matrix, float(score.flat[best]), float(outline.flat[best]))


def _matrix(turn: Matrix, at: list[int], size: tuple[int, int], views: tuple[View, View]) -> Matrix:
    """Micrometres to micrometres of a turned picture whose corner lies at row and column `at` of the fixed one."""
    fixed, moving = views
    middle = np.array([at[1] + size[1] / 2, at[0] + size[0] / 2]) * fixed.pitch  # on the fixed slide
    there = np.array(moving.tissue.shape[::-1]) / 2 * moving.pitch
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = there - turn @ middle
    return matrix
