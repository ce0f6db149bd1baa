"""Random fields over the slide: any window, at any magnification and angle, sees the same tissue.

Nothing is stored: a value belongs to an integer lattice point and is a hash of that point, so that two windows agree
wherever they overlap. Lengths are micrometres from the corner of the slide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
_WORD = 0xFFFFFFFFFFFFFFFF
_MARGIN = 3  # lattice points beyond the window: bicubic needs two


@dataclass(frozen=True)
class Window:
    """A square of the slide as an image.

    Attributes:
        x_um: centre of the square, to the right.
        y_um: centre of the square, downwards.
        size_px: edge in pixels.
        mpp: micrometres per pixel.
        angle: rotation in radians.
    """

    x_um: float
    y_um: float
    size_px: int
    mpp: float
    angle: float = 0.0

    def affine(self) -> NDArray[np.float64]:
        """(2, 3): column and row of a pixel's corner to micrometres."""
        cos, sin = np.cos(self.angle) * self.mpp, np.sin(self.angle) * self.mpp
        half = self.size_px / 2
        turn = np.array([[cos, -sin], [sin, cos]])
        origin = np.array([self.x_um, self.y_um]) - turn @ (half, half)
        return np.column_stack([turn, origin])

    def points(self) -> tuple[Floats, Floats]:
        """Where every pixel's centre is, to the right and downwards in micrometres, each (H, W)."""
        (a, b, c), (d, e, f) = self.affine()
        step = np.arange(self.size_px, dtype=np.float32) + 0.5
        x = np.float32(c) + np.float32(a) * step[None, :] + np.float32(b) * step[:, None]  # (H, W)
        y = np.float32(f) + np.float32(d) * step[None, :] + np.float32(e) * step[:, None]  # (H, W)
        return x, y


def uniform(key: int, channel: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> Floats:
    """A number in [0, 1) for every lattice point (i, j): the splitmix64 finaliser of key, channel and point."""
    with np.errstate(over="ignore"):
        mixed = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ j.astype(np.uint64) * np.uint64(
            0xC2B2AE3D27D4EB4F
        )
        mixed = mixed ^ np.uint64((key + channel * 0x165667B19E3779F9) & _WORD)
        for _ in range(2):
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed = mixed ^ (mixed >> np.uint64(31))
    return ((mixed >> np.uint64(40)).astype(np.float32)) * np.float32(2.0**-24)


def normal(share: Floats | float) -> Floats:
    """Quantiles of the standard normal distribution, to 0.01 within ±2.2, where they end.

    Source: Tukey's lambda distribution at 0.135; a fraction of the cost of the exact quantile.
    """
    inner = np.asarray(np.clip(share, 0.014, 0.986), np.float32)
    quantile = (inner**0.135 - (1 - inner) ** 0.135) / 0.1975
    return quantile.astype(np.float32)


def smooth(
    key: int, channel: int, window: Window, scale_um: float, *, stretch: float = 1.0, angle: float = 0.0
) -> Floats:
    """A smooth field with mean 0 and standard deviation of about 1.

    Args:
        key: the slide.
        channel: which of the slide's fields.
        window: where it is looked at.
        scale_um: distance of its lattice points; structures are about twice as large.
        stretch: how much longer structures are along `angle`.
        angle: direction of the stretch in radians.

    Returns:
        (H, W). Structures smaller than a pixel average out.
    """
    to_lattice = _to_lattice(scale_um, stretch, angle) @ window.affine()  # (2, 3)
    edge = window.size_px
    corners = to_lattice @ np.array([[0, edge, 0, edge], [0, 0, edge, edge], [1, 1, 1, 1]])  # (2, 4)
    low = np.floor(corners.min(axis=1)).astype(int) - _MARGIN
    high = np.ceil(corners.max(axis=1)).astype(int) + _MARGIN
    values = lattice_values(key, channel, low, high)
    to_lattice[:, 2] -= low
    seen = min(1.0, scale_um / window.mpp)
    return _cubic(values, to_lattice, window.size_px) * np.float32(1.35 * seen)


def lattice_values(key: int, channel: int, low: NDArray[np.int64], high: NDArray[np.int64]) -> Floats:
    """The random values, standard deviation 1, of the lattice points from `low` to `high` (x, y), both included."""
    i, j = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    return (uniform(key, channel, i, j) - np.float32(0.5)) * np.float32(12**0.5)


def smooth_at(key: int, channel: int, x: Floats, y: Floats, scale_um: float) -> Floats:
    """A smooth field at single points: cheap for few points, where `smooth` fills a window."""
    u, v = x / np.float32(scale_um), y / np.float32(scale_um)
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = _ease(u - i), _ease(v - j)

    def node(di: int, dj: int) -> Floats:
        return (uniform(key, channel, i + di, j + dj) - np.float32(0.5)) * np.float32(12**0.5)

    top = node(0, 0) * (1 - s) + node(1, 0) * s
    bottom = node(0, 1) * (1 - s) + node(1, 1) * s
    return ((top * (1 - t) + bottom * t) * np.float32(1.45)).astype(np.float32)


def _cubic(values: Floats, to_node: NDArray[np.float64], size_px: int) -> Floats:
    """Bicubic interpolation of lattice values; `to_node` takes a pixel's corner to column and row of a node."""
    if to_node[0, 1] == 0 and to_node[1, 0] == 0:
        rows = _cubic_rows(values, to_node[1, 1], to_node[1, 2], size_px)
        return np.ascontiguousarray(_cubic_rows(rows.T, to_node[0, 0], to_node[0, 2], size_px).T)
    # PIL's image coordinates put the centre of node 0 at 0.5.
    data: Any = tuple((to_node + np.array([0, 0, 0.5])).ravel())
    field = Image.fromarray(values).transform((size_px,) * 2, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    return np.asarray(field)


def _cubic_rows(values: Floats, step: float, start: float, size_px: int) -> Floats:
    """Along one axis, which is most of the windows and four times faster; the kernel is the one that PIL uses."""
    place = start + step * (np.arange(size_px) + 0.5)
    node = np.floor(place).astype(np.int64)
    t = (place - node).astype(np.float32)[:, None]
    before, first, second, after = (values[node + k] for k in (-1, 0, 1, 2))
    slope = second - before
    bend = 2 * (before - first) + second - after
    rows: Floats = first + t * (slope + t * (bend + t * (first - before + after - second)))
    return rows


def _ease(t: Floats) -> Floats:
    eased: Floats = (t * t * (3 - 2 * t)).astype(np.float32)
    return eased


def _to_lattice(scale_um: float, stretch: float, angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = 1 / (scale_um * stretch), 1 / scale_um
    return np.array([[cos * along, sin * along], [-sin * across, cos * across]])
