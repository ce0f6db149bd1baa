"""Patch by patch: how far each patch of the fixed tissue is off, by correlation with the moving one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2  # type: ignore[import-untyped]
from scipy.ndimage import gaussian_filter, map_coordinates  # type: ignore[import-untyped]
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

from pathfuse.register.views import Plane
from pathfuse.system.progress import available_cores

Shifts = NDArray[np.float32]  # (H, W, 2)
Floats = NDArray[np.float64]
_BATCH = 256
_CORES = available_cores()  # patches of a batch are transformed side by side; the numbers are the same
_LEAST_TISSUE = 0.4  # of a patch
_NEIGHBOUR = 2.5  # median deviations from the neighbours beyond which a patch is on its own
_NOISE, _CLEAR = 0.05, 0.20  # lead of a peak over its rival that noise has, and that is beyond doubt
_DOUBT = 0.05  # pulls the field to 0, as much as this share of a patch that is believed in full
_RIVAL_PX = 3  # a second peak nearer than this is the same


@dataclass(frozen=True, eq=False)
class Blocks:
    """What patches say about where they lie; N patches in rows of a grid.

    Attributes:
        centres: (N, 2) column and row of their middles.
        shifts: (N, 2) where the best match lies, in pixels to the right and downwards.
        peaks: (N,) correlation there.
        rivals: (N,) the best correlation anywhere else.
        still: (N,) correlation without any shift.
    """

    centres: Floats
    shifts: Floats
    peaks: Floats
    rivals: Floats
    still: Floats


def match(
    fixed: Plane,
    moved: Plane,
    tissue: NDArray[np.bool_],
    *,
    edge: int,
    step: int,
    reach: int,
    most: int | None = None,
) -> Blocks:
    """Compares every patch of one texture with the other around it.

    Args:
        fixed: texture of the fixed slide, (H, W); 0 where there is no tissue.
        moved: texture of the moving slide, brought to the same place, (H, W); 0 where there is none.
        tissue: where both have tissue, (H, W).
        edge: of a patch in pixels.
        step: between neighbours, in pixels.
        reach: largest shift looked at, in pixels.
        most: of the patches, evenly; None takes all.
    """
    height, width = fixed.shape
    rows = np.arange(0, max(1, height - edge + 1), step)
    columns = np.arange(0, max(1, width - edge + 1), step)
    corners = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    total = np.pad(tissue.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    x, y = corners.T
    x1, y1 = np.minimum(x + edge, width), np.minimum(y + edge, height)
    share = (total[y1, x1] - total[y, x1] - total[y1, x] + total[y, x]) / edge**2
    corners = corners[share >= _LEAST_TISSUE]
    if most is not None and len(corners) > most:
        corners = corners[:: -(-len(corners) // most)]
    pad = ((0, edge), (0, edge))
    fixed = np.pad(fixed, pad)
    moved = np.pad(moved, ((reach, edge + reach), (reach, edge + reach)))
    parts = [_match(fixed, moved, corners[i : i + _BATCH], edge, reach) for i in range(0, len(corners), _BATCH)]
    if not parts:
        none = np.zeros(0)
        return Blocks(np.zeros((0, 2)), np.zeros((0, 2)), none, none, none)
    shifts, peaks, rivals, still = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Blocks(corners + edge / 2 - 0.5, shifts, peaks, rivals, still)


def _match(fixed: Plane, moved: Plane, corners: NDArray[np.int64], edge: int, reach: int) -> tuple[Floats, ...]:
    wide = edge + 2 * reach
    ours = np.stack([fixed[y : y + edge, x : x + edge] for x, y in corners])  # (n, edge, edge)
    theirs = np.stack([moved[y : y + wide, x : x + wide] for x, y in corners])  # (n, wide, wide)
    size = (next_fast_len(wide, real=True),) * 2
    weight = (ours != 0).astype(np.float32)
    count = np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1)
    ours = (ours - ours.sum(axis=(1, 2), keepdims=True) / count) * weight
    there = np.conj(rfft2(weight, size, workers=_CORES))
    lag = slice(0, 2 * reach + 1)

    def correlated(spectrum: NDArray[np.complex64], other: NDArray[np.float32]) -> NDArray[np.float32]:
        joint = spectrum * rfft2(other, size, workers=_CORES)
        found: NDArray[np.float32] = irfft2(joint, size, workers=_CORES)[:, lag, lag]
        return found

    product = correlated(np.conj(rfft2(ours, size, workers=_CORES)), theirs)
    total, square = correlated(there, theirs), correlated(there, theirs * theirs)
    spread = np.maximum(square - total * total / count, 1e-3 * count)
    own = np.maximum((ours * ours).sum(axis=(1, 2), keepdims=True), 1e-6)
    alike = product / np.sqrt(own * spread)  # (n, lags, lags)
    flat = alike.reshape(len(alike), -1)
    best = flat.argmax(axis=1)
    row, column = np.divmod(best, 2 * reach + 1)
    shifts = np.stack([_between(alike, row, column, 1), _between(alike, row, column, 0)], axis=1) - reach
    near = np.abs(np.arange(2 * reach + 1)[None] - row[:, None]) <= _RIVAL_PX
    close = np.abs(np.arange(2 * reach + 1)[None] - column[:, None]) <= _RIVAL_PX
    rivals = np.where(near[:, :, None] & close[:, None, :], -1, alike).max(axis=(1, 2))
    peaks = np.take_along_axis(flat, best[:, None], axis=1)[:, 0]
    return shifts, peaks.astype(float), rivals.astype(float), alike[:, reach, reach].astype(float)


def _between(alike: NDArray[np.float32], row: NDArray[np.int64], column: NDArray[np.int64], axis: int) -> Floats:
    """The place of peaks along one axis to a fraction of a pixel, by a parabola through three values."""
    index = np.arange(len(alike))
    last = alike.shape[1] - 1
    at = column if axis else row
    inside = (at > 0) & (at < last)

    def value(step: int) -> Floats:
        moved = np.clip(at + step, 0, last)
        return (alike[index, row, moved] if axis else alike[index, moved, column]).astype(float)

    before, here, after = value(-1), value(0), value(1)
    bend = before - 2 * here + after
    offset = np.where(inside & (bend < -1e-9), 0.5 * (before - after) / np.where(bend < -1e-9, bend, -1), 0.0)
    place: Floats = at + np.clip(offset, -0.5, 0.5)
    return place


def weights(blocks: Blocks) -> Floats:
    """How much to believe every patch, (N,) from 0 to 1: a clear peak that its neighbours share.

    Args:
        blocks: what was found.
    """
    clear: Floats = np.clip((blocks.peaks - blocks.rivals - _NOISE) / (_CLEAR - _NOISE), 0, 1) * np.clip(
        blocks.peaks, 0, 1
    )
    if len(clear) < 3:
        return clear
    count = min(9, len(clear))
    _, near = cKDTree(blocks.centres).query(blocks.centres, k=count)
    own = blocks.shifts[near]  # (N, k, 2)
    trust = clear[near]
    middle = np.stack([_weighted_median(own[..., axis], trust) for axis in (0, 1)], axis=1)
    off = np.hypot(*(blocks.shifts - middle).T)
    usual = max(float(np.median(off)), 0.5)
    believed: Floats = clear * np.clip(_NEIGHBOUR * usual / np.maximum(off, 1e-9), 0, 1) ** 2
    return believed


def _weighted_median(values: Floats, weight: Floats) -> Floats:
    order = values.argsort(axis=1)
    ranked = np.take_along_axis(values, order, axis=1)
    sums = np.take_along_axis(weight + 1e-9, order, axis=1).cumsum(axis=1)
    place = (sums < sums[:, -1:] / 2).sum(axis=1)
    return np.take_along_axis(ranked, place[:, None], axis=1)[:, 0]


def smoothed(blocks: Blocks, weight: Floats, shape: tuple[int, int], *, step: int, sigma: float) -> Shifts:
    """A smooth field of shifts in pixels, (H, W, 2), that goes to 0 where nothing is known.

    Args:
        blocks: what patches say.
        weight: how much to believe them, (N,).
        shape: (H, W).
        step: distance of neighbours in pixels.
        sigma: how far a patch reaches, in steps.
    """
    total, shifts = _on_grid(blocks, weight, shape, step)
    believed = gaussian_filter(total, sigma, mode="constant")
    sums = total[..., None] * shifts
    coarse = np.stack([gaussian_filter(sums[..., axis], sigma, mode="constant") for axis in (0, 1)], axis=-1)
    return _between_patches(coarse / (believed + _DOUBT)[..., None], blocks, shape, step)


def stepped(blocks: Blocks, weight: Floats, shape: tuple[int, int], *, step: int, reach: int) -> Shifts:
    """A field of shifts in pixels, (H, W, 2), that jumps where its patches do, as over a tear: medians of neighbours.

    Args:
        blocks: what patches say.
        weight: how much to believe them, (N,).
        shape: (H, W).
        step: distance of neighbours in pixels.
        reach: how far a patch reaches, in steps.
    """
    total, shifts = _on_grid(blocks, weight, shape, step)
    rows, columns = total.shape
    total, shifts = np.pad(total, reach), np.pad(shifts, ((reach, reach), (reach, reach), (0, 0)))
    around = [(row, column) for row in range(2 * reach + 1) for column in range(2 * reach + 1)]
    near = [np.exp(-((row - reach) ** 2 + (column - reach) ** 2) / (2 * (reach / 1.5) ** 2)) for row, column in around]
    parts = [(slice(row, row + rows), slice(column, column + columns)) for row, column in around]
    belief = np.stack([total[part] * share for part, share in zip(parts, near, strict=True)], axis=-1)
    belief = belief.reshape(rows * columns, -1)
    values = np.stack([shifts[part] for part in parts], axis=-1).reshape(rows * columns, 2, -1)
    middle = np.stack([_weighted_median(values[:, axis], belief) for axis in (0, 1)], axis=1)  # (cells, 2)
    sure = belief.sum(axis=1, keepdims=True)
    coarse = (middle * sure / (sure + _DOUBT)).reshape(rows, columns, 2)
    return _between_patches(coarse, blocks, shape, step)


def _on_grid(blocks: Blocks, weight: Floats, shape: tuple[int, int], step: int) -> tuple[Floats, Floats]:
    """Belief (H', W') and shifts (H', W', 2) of patches, one to a cell."""
    rows, columns = (max(1, -(-edge // step)) + 2 for edge in shape)
    total, shifts = np.zeros((rows, columns)), np.zeros((rows, columns, 2))
    at = np.rint((blocks.centres - blocks.centres[0] % step) / step).astype(int)
    total[at[:, 1], at[:, 0]] = weight
    shifts[at[:, 1], at[:, 0]] = blocks.shifts
    return total, shifts


def _between_patches(coarse: Floats, blocks: Blocks, shape: tuple[int, int], step: int) -> Shifts:
    """Values of cells (H', W', 2) at every pixel, (H, W, 2)."""
    offset = blocks.centres[0] % step
    ticks = [(np.arange(edge) - start) / step for edge, start in zip(shape, offset[::-1], strict=True)]
    grid = np.meshgrid(*ticks, indexing="ij")
    return np.stack(
        [map_coordinates(coarse[..., axis], grid, order=1, mode="nearest") for axis in (0, 1)], axis=-1
    ).astype(np.float32)
