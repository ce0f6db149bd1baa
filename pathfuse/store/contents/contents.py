"""Contents of a file by its header alone: arrays with their attributes, before anybody says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pathfuse.errors import StoreError
from pathfuse.store.rows.rows import Rows

Kind = Literal["hdf5", "torch", "npy", "other"]
Fact = str | int | float

MAX_EXPANSION = 100
"""Times its bytes on disk that an array may take in memory; real features compress to a tenth at the very best."""

ALWAYS_ALLOWED = 1 << 24  # bytes; a small array of one value may be compressed to nothing


@dataclass(frozen=True)
class Found:
    """One array.

    Attributes:
        shape: as stored.
        rows: the rows, if the shape can be read as (N, D): (N, D), (1, N, D), (D,) as one row, or (0,).
        attributes: numbers and short texts; what says `None` is left out.
        chunks: shape of the chunks of a chunked HDF5 dataset.
        dtype: type as stored.
        contiguous: whether rows can be mapped into memory.
    """

    shape: tuple[int, ...]
    rows: Rows | None
    attributes: Mapping[str, Fact] = field(default_factory=dict)
    chunks: tuple[int, ...] | None = None
    dtype: str = ""
    contiguous: bool = True


@dataclass(frozen=True)
class Contents:
    """A file's arrays by name; a file that is one bare array calls it "".

    Attributes:
        path: the file.
        kind: what it is technically; of `other` files nothing is read here, and a store has to know them itself.
        arrays: its numeric arrays.
        attributes: of the file as a whole.
        ignored: names that lead out of the file or hold no numbers, with the reason.
        listed: whether a torch file holds a list of rows instead of one tensor.
    """

    path: Path
    kind: Kind
    arrays: Mapping[str, Found]
    attributes: Mapping[str, Fact] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    listed: bool = False

    def rows(self, key: str) -> Rows:
        """The rows of an array.

        Raises:
            StoreError: if it is not there or its shape is not (N, D).
        """
        found = self.arrays.get(key)
        if found is None:
            why = f" ({self.ignored[key]})" if key in self.ignored else ""
            raise StoreError(f"{self.path} has no array {key!r}{why}. Export it again.")
        if found.rows is None:
            raise StoreError(
                f"{self.path}: {key or 'the array'} has shape {found.shape}, which is no table of patches by features. "
                "Give a file with one row per patch."
            )
        return found.rows


def rows_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The (N, D) that a stored shape stands for; None if it stands for none."""
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 2:
        # Rows without a number cost nothing on disk, so a small file could claim any count of them.
        return None if shape[0] and not shape[1] else (shape[0], shape[1])
    if len(shape) == 1:
        return (1, shape[0]) if shape[0] else (0, 0)
    return None


def check_size(path: Path, key: str, needed: int, stored: int) -> None:
    """Refuses an array that claims to be far larger than what lies on disk, before memory is asked for.

    Raises:
        StoreError: if `needed` bytes in memory cannot come from `stored` bytes.
    """
    if needed > max(ALWAYS_ALLOWED, stored * MAX_EXPANSION):
        raise StoreError(
            f"{path}: {key or 'the array'} claims {needed / 2**20:.0f} MiB, but has {stored / 2**20:.2f} MiB on disk. "
            "The file is damaged or hostile: extract it again."
        )
