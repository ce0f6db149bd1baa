"""Cells as a jittered lattice: every pixel belongs to the nearest cell, and cells meet in membranes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.demo.histology.fields import Floats, uniform

_ROW = np.float32(0.88)  # rows are closer than columns, and every other one is shifted by half a cell: nearly hexagonal


@dataclass(frozen=True)
class Lattice:
    """The N cells around a set of points; all arrays have shape (N,).

    Attributes:
        key: the slide.
        channel: first of the channels of the slide that these cells own.
        i: column of each cell.
        j: row of each cell.
        x: centre in micrometres.
        y: centre in micrometres.
    """

    key: int
    channel: int
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    x: Floats
    y: Floats

    def draw(self, number: int) -> Floats:
        """(N,) one uniform number per cell; `number` tells the properties of a cell apart."""
        return uniform(self.key, self.channel + 1 + number, self.i, self.j)


@dataclass(frozen=True)
class Cells:
    """Which cell each point lies in.

    Attributes:
        lattice: the cells.
        owner: index of the nearest cell, of the points' shape.
        dx: offset from that cell's centre in micrometres.
        dy: offset from that cell's centre in micrometres.
        edge: distance to the border with the next cell in micrometres.
    """

    lattice: Lattice
    owner: NDArray[np.int64]
    dx: Floats
    dy: Floats
    edge: Floats


def cells_at(key: int, channel: int, x: Floats, y: Floats, spacing_um: float, jitter: float) -> Cells:
    """The nearest cell of every point.

    Args:
        key: the slide.
        channel: first of a block of channels of the slide that these cells own.
        x: points in micrometres, any shape.
        y: points in micrometres, the same shape.
        spacing_um: distance of neighbouring cells.
        jitter: displacement of the centres in units of the spacing, at most 0.45.
    """
    spacing = np.float32(spacing_um)
    u = x / spacing
    v = np.floor(y / (spacing * _ROW)).astype(np.int32)
    if not x.size:
        u, v = np.zeros(1, np.float32), np.zeros(1, np.int32)
    low = int(np.floor(u.min())) - 3, int(v.min()) - 2
    lattice, row = _lattice(key, channel, spacing, jitter, low, (int(u.max()) + 3, int(v.max()) + 2))
    if not x.size:
        return Cells(lattice, np.zeros(0, np.int64), x, y, x)
    near = np.full(x.shape, np.inf, np.float32)
    second = near.copy()
    owner = np.zeros(x.shape, np.int32)
    for dj in (-1, 0, 1):
        j = v + dj
        first = np.floor(u - np.float32(0.5) * (j & 1)).astype(np.int32) - low[0] + (j - low[1]) * row
        for di in (-1, 0, 1):
            index = first + di
            ox, oy = x - lattice.x[index], y - lattice.y[index]
            distance = ox * ox + oy * oy
            closer = distance < near
            np.minimum(second, np.where(closer, near, distance), out=second)
            np.copyto(owner, index, where=closer)
            np.minimum(near, distance, out=near)
    edge = ((np.sqrt(second) - np.sqrt(near)) / 2).astype(np.float32)
    return Cells(lattice, owner.astype(np.int64), x - lattice.x[owner], y - lattice.y[owner], edge)


def _lattice(
    key: int, channel: int, spacing: np.float32, jitter: float, low: tuple[int, int], high: tuple[int, int]
) -> tuple[Lattice, int]:
    """The cells from column and row `low` to `high`, both included, and the number of cells in a row."""
    i, j = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    # The point (j, i) is as good a lattice point as (i, j): a second number without a second channel.
    right, down = uniform(key, channel, i, j), uniform(key, channel, j, i + 7919)
    shift = np.float32(2 * jitter)
    x = (i + np.float32(0.5) + np.float32(0.5) * (j & 1) + (right - np.float32(0.5)) * shift) * spacing
    y = (j + np.float32(0.5) + (down - np.float32(0.5)) * shift) * spacing * _ROW
    flat = Lattice(key, channel, i.ravel(), j.ravel(), x.ravel().astype(np.float32), y.ravel().astype(np.float32))
    return flat, i.shape[1]
