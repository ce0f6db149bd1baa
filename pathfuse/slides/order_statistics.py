"""Exact percentiles of values that are computed band by band and never held together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SAMPLE = 4096  # columns that tell roughly where a percentile lies


class Place(NamedTuple):
    """A percentile between two neighbours of the sorted values: `below + (above - below) * weight`."""

    below: float
    above: float
    weight: float

    @property
    def value(self) -> float:
        """The percentile, interpolated linearly."""
        return self.below + (self.above - self.below) * self.weight


def percentiles(
    rows: Callable[[Array], Iterator[Array]], planes: Array, count: int, asked: Sequence[tuple[int, float]]
) -> list[Place]:
    """Places of percentiles in the rows that a function makes from planes, exact.

    A sample of the columns says about where each percentile lies. One pass keeps only what is further out; where the
    sample misled, a second pass keeps everything.

    Args:
        rows: makes bands of rows, (R, any), from planes (C, N); column by column, so that it may be given a sample.
        planes: what `rows` works on.
        count: number of columns `rows` makes of all planes, at least 1.
        asked: row and percentile, 0 to 100, of each result.
    """
    stride = max(1, planes.shape[1] // SAMPLE) | 1  # odd, or the sample would be a few columns of the image
    sample = np.concatenate(list(rows(planes[:, ::stride])), axis=1)
    tails = [_Tail(row, q, count) for row, q in asked]
    if count > 2 * sample.shape[1]:
        for tail in tails:
            tail.narrow(sample[tail.row])
    _collect(rows(planes), tails)
    missed = [tail for tail in tails if not tail.complete]
    for tail in missed:
        tail.widen()
    if missed:
        _collect(rows(planes), missed)
    return [tail.place() for tail in tails]


def _collect(bands: Iterator[Array], tails: Sequence[_Tail]) -> None:
    for band in bands:
        for tail in tails:
            tail.add(band[tail.row])


@dataclass
class _Tail:
    """The values at one end of a row, down to a bound; `rank` of the whole row is the place that is asked for."""

    row: int
    q: float
    count: int
    bound: float | None = None  # keep everything
    kept: list[Array] = field(default_factory=list)

    @property
    def upper(self) -> bool:
        return self.q > 50

    @property
    def position(self) -> float:
        return (self.count - 1) * self.q / 100

    @property
    def ranks(self) -> list[int]:
        """The two ranks around the percentile, counted within the kept values."""
        rank = int(self.position)
        missing = self.count - sum(map(len, self.kept)) if self.upper else 0
        return [rank - missing, min(rank + 1, self.count - 1) - missing]

    @property
    def complete(self) -> bool:
        low, high = self.ranks
        return low >= 0 and high < sum(map(len, self.kept))

    def narrow(self, sample: Array) -> None:
        share = (self.count - self.position if self.upper else self.position + 2) / self.count
        reach = int(len(sample) * share * 1.3) + 24  # some standard errors further, so that a miss is rare
        if reach < len(sample) // 2:
            rank = len(sample) - reach if self.upper else reach
            self.bound = np.partition(sample, rank)[rank]

    def widen(self) -> None:
        self.bound = None
        self.kept.clear()

    def add(self, values: Array) -> None:
        if self.bound is not None:
            values = values[values >= self.bound] if self.upper else values[values <= self.bound]
        self.kept.append(values)

    def place(self) -> Place:
        ranks = self.ranks
        below, above = np.partition(np.concatenate(self.kept), ranks)[ranks]
        return Place(float(below), float(above), self.position - int(self.position))
