"""Finds nearly equal images, so that a patch and its copy do not end up on two sides of a split.

Each image becomes 64 bits, the signs of its lowest frequencies, which survive scaling, compression and small changes of
colour. Overlapping patches and rotated copies are not found: they have other frequencies.

Source: the DCT form of perceptual hashing (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash
Functions, section 3.2). Departs: signs instead of a comparison with the median, and the mean grey is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pathfuse.cohort.folds.check import by_place
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.sources.pairs import SUFFIXES
from pathfuse.cohort.table import Case
from pathfuse.system.progress import available_cores, progress_bar

Bits = npt.NDArray[np.uint64]

EDGE, KEPT = 32, 8
FLAT = 2.0  # grey levels; an image of glass has no pattern that could be recognised
DISTANCE = 6  # of 64 bits; two unrelated images differ in 32, and in so few once in 10^11
MOST_PIXELS = 2**26  # larger files are slides, which are compared by their patches


@dataclass(frozen=True)
class Pair:
    """Two nearly equal images of one stain, of two cases."""

    first: str
    second: str
    modality: str
    first_file: Path
    second_file: Path
    distance: int


@dataclass(frozen=True)
class Leak:
    """A pair that lies on two sides in `splits` splits; `parts` is where it does so first."""

    pair: Pair
    splits: int
    parts: tuple[str, str]

    def __str__(self) -> str:
        one, two = self.pair, self.parts
        return (
            f"{one.first} ({two[0]}) and {one.second} ({two[1]}): {one.modality} images {one.first_file.name} and "
            f"{one.second_file.name} differ in {one.distance} of 64 bits"
        )


def near_duplicates(cases: Sequence[Case], *, distance: int = DISTANCE, threads: int | None = None) -> list[Pair]:
    """Pairs of cases with nearly equal images of the same stain; slides and unreadable files are passed over.

    Args:
        cases: the cohort.
        distance: bits of 64 that may differ, at most 15.
        threads: images read at a time; None is one per core.
    """
    found: list[Pair] = []
    for modality in dict.fromkeys(name for case in cases for name in case.files):
        files = [
            (case.case_id, file.path)
            for case in cases
            for file in case.files.get(modality, ())
            if file.path.suffix.lower() in SUFFIXES
        ]
        with ThreadPoolExecutor(threads or available_cores()) as pool, progress_bar() as bar:
            hashes = pool.map(perceptual_hash, (path for _, path in files))
            bits = list(bar.track(hashes, total=len(files), description=f"Comparing {modality} images"))
        known = [index for index, value in enumerate(bits) if value is not None]
        values = np.array([bits[index] for index in known], dtype=np.uint64)
        for a, b, apart in close_pairs(values, distance):
            (first, one), (second, two) = files[known[a]], files[known[b]]
            if first != second:
                found.append(Pair(first, second, modality, one, two, apart))
    return found


def across_sides(pairs: Sequence[Pair], rows: Sequence[FoldRow]) -> list[Leak]:
    """The pairs whose cases lie in different parts of some split."""
    splits = [{row.case_id: row.part for row in own} for own in by_place(rows).values()]
    leaks = []
    for pair in pairs:
        sides = [(own.get(pair.first, ""), own.get(pair.second, "")) for own in splits]
        apart = [both for both in sides if both[0] != both[1] and all(both)]
        if apart:
            leaks.append(Leak(pair, len(apart), apart[0]))
    return leaks


def perceptual_hash(path: Path) -> int | None:
    """64 bits that nearly equal images share; None for a flat image, a slide or a file that cannot be read."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            small = image.convert("L").resize((EDGE, EDGE), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None  # `pathfuse data check` says what is wrong with it
    grey = np.asarray(small, dtype=np.float64)
    if grey.std() < FLAT:
        return None
    # One column more instead of the first one, which holds the mean.
    low = _COSINES[:KEPT] @ grey @ _COSINES[1 : KEPT + 1].T  # (8, 8)
    return int.from_bytes(np.packbits(low.ravel() > 0).tobytes(), "big")


def close_pairs(bits: Bits, distance: int) -> Iterator[tuple[int, int, int]]:
    """Positions a < b of values that differ in at most so many bits, with that number, in order.

    Values that differ in d bits agree in at least one of d + 1 bands, so only values that share a band are compared.
    """
    found: dict[tuple[int, int], int] = {}
    for band in _bands(distance + 1):
        buckets: dict[int, list[int]] = {}
        for position, value in enumerate((bits & np.uint64(band)).tolist()):
            buckets.setdefault(value, []).append(position)
        for members in buckets.values():
            for a, apart in _within(bits, members, distance):
                found[a] = apart
    yield from ((a, b, apart) for (a, b), apart in sorted(found.items()))


def _within(bits: Bits, members: list[int], distance: int) -> Iterator[tuple[tuple[int, int], int]]:
    if len(members) < 2:
        return
    place = np.array(members)
    for row, first in enumerate(members[:-1]):
        apart = _ones(bits[place[row + 1 :]] ^ bits[first])
        for offset in np.flatnonzero(apart <= distance).tolist():
            yield (first, members[row + 1 + offset]), int(apart[offset])


def _ones(values: Bits) -> npt.NDArray[np.int64]:
    return np.asarray(np.unpackbits(values[:, None].view(np.uint8), axis=1).sum(1, dtype=np.int64))


def _bands(count: int) -> list[int]:
    edges = [round(64 * k / count) for k in range(count + 1)]
    return [((1 << (high - low)) - 1) << low for low, high in pairwise(edges)]


def _dct(size: int) -> npt.NDArray[np.float64]:
    position, frequency = np.arange(size) + 0.5, np.arange(size)[:, None]
    return np.asarray(np.cos(np.pi * frequency * position / size))


_COSINES = _dct(EDGE)
