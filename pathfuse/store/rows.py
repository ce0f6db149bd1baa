"""Arrays on disk, (N, D), of which any rows can be read without the others.

They are plain data until they are read, so they can be sent to a worker process, which opens the file itself.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pathfuse.errors import StoreError, cannot_be_read
from pathfuse.store.handles import Handles
from pathfuse.store.sums import BlockSums, bytes_of

NEAR = 16  # rows this close are read in one go from a chunked array: a call costs about as much as 16 rows

Index = npt.NDArray[np.int64]


class Stamp(NamedTuple):
    """Size and time of a file when its header was read."""

    size: int
    time: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file as it is now."""
        state = os.stat(path)
        return cls(state.st_size, state.st_mtime_ns)


class Rows(ABC):
    """N rows of D numbers.

    Attributes:
        shape: (N, D).
        dtype: numpy's name of the type as stored, for example `float16`; torch's for `bfloat16`.
    """

    shape: tuple[int, int]
    dtype: str

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, index: Index | None = None) -> Tensor:
        """The rows with these numbers in this order, (k, D), or all, (N, D), in the type as stored.

        Raises:
            StoreError: if the file changed, was cut off or removed since its header was read.
            IndexError: if a row does not exist.
        """
        if index is not None and len(index) and not (0 <= index.min() and index.max() < len(self)):
            raise IndexError(f"rows {index.min()} to {index.max()} of {len(self)}")
        return self._read(index)

    def read_into(self, out: Tensor, index: Index | None = None) -> None:
        """As `read`, into a tensor of the same shape and any type.

        Raises:
            StoreError: as `read`.
        """
        out.copy_(self.read(index))

    @abstractmethod
    def _read(self, index: Index | None) -> Tensor: ...


@dataclass(frozen=True)
class MemoryRows(Rows):
    """Rows that are in memory already: small, or computed."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """(N, D)."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def dtype(self) -> str:  # type: ignore[override]
        """Name of the type."""
        return str(self.values.dtype).removeprefix("torch.")

    def _read(self, index: Index | None) -> Tensor:
        return self.values.clone() if index is None else self.values[torch.from_numpy(index)]


@dataclass(frozen=True)
class MappedRows(Rows):
    """Rows that lie one after another in a file: `.npy`, or a contiguous HDF5 dataset through its file offset."""

    path: Path
    stamp: Stamp
    shape: tuple[int, int]
    dtype: str
    offset: int
    layout: str = "C"
    sums: BlockSums | None = None

    def read_into(self, out: Tensor, index: Index | None = None) -> None:
        """As `read`, into a tensor; a whole bag is converted on its way from the file, without a copy in between."""
        if index is None and self._direct and 0 not in self.shape:
            out.copy_(torch.from_numpy(self._map(None)))
        else:
            out.copy_(self.read(index))

    def _read(self, index: Index | None) -> Tensor:
        if 0 in self.shape:
            return torch.empty(len(self) if index is None else len(index), self.shape[1], dtype=_torch_type(self.dtype))
        mapped = self._map(index)
        if not self._direct:
            return to_tensor(mapped if index is None else mapped[index])
        values = torch.from_numpy(mapped)
        if index is not None:
            return values.index_select(0, torch.from_numpy(index))
        return allocate(self.shape, values.dtype).copy_(values)

    @property
    def _direct(self) -> bool:
        """Whether torch can work on the mapped bytes as they are."""
        stored = np.dtype(self.dtype)
        return stored.isnative and stored.type in _PLAIN and self.layout == "C"

    def _map(self, index: Index | None) -> npt.NDArray[np.generic]:
        refuse_changed(self.path, self.stamp)
        try:
            # "c": torch wants writable memory; nothing is written, and nothing would reach the file.
            # By its name: of a path, numpy looks up every folder.
            mapped = np.memmap(str(self.path), np.dtype(self.dtype), "c", self.offset, self.shape, self.layout)  # type: ignore[call-overload]
        except (OSError, ValueError) as error:
            raise unreadable(self.path, error) from error
        if self.sums is not None:
            self._compare(mapped, self.sums, index)
        return mapped  # type: ignore[no-any-return]

    def _compare(self, mapped: npt.NDArray[np.generic], sums: BlockSums, index: Index | None) -> None:
        """Compares the checksums of the blocks that some or all rows lie in, once per process.

        Raises:
            StoreError: if a byte is not the one that was written.
        """
        seen = _seen.setdefault((self.path, self.stamp, self.offset), np.zeros(len(sums), bool))
        wanted = ~seen
        if index is not None:
            width = mapped.strides[0]
            first, last = index * width // sums.block, ((index + 1) * width - 1) // sums.block
            wanted = np.zeros(len(sums) + 1, np.int64)
            np.add.at(wanted, first, 1)
            np.add.at(wanted, last + 1, -1)
            wanted = (wanted.cumsum()[:-1] > 0) & ~seen
        blocks = np.flatnonzero(wanted)
        if (bad := sums.damaged(bytes_of(np.asarray(mapped)), iter(blocks.tolist()))) is not None:
            row = bad * sums.block // mapped.strides[0]
            raise StoreError(
                f"{self.path} is damaged: the checksum of the rows from {row} on is not the one that was written. "
                "Copy or extract it again."
            )
        seen[blocks] = True


_seen: dict[tuple[Path, Stamp, int], npt.NDArray[np.bool_]] = {}
"""Per array of a file, the blocks whose checksums this process has compared."""


@dataclass(frozen=True)
class Hdf5Rows(Rows):
    """Rows of a chunked or compressed HDF5 dataset; `lead` axes of length 1 precede them."""

    path: Path
    stamp: Stamp
    shape: tuple[int, int]
    dtype: str
    key: str
    lead: int = 0

    def _read(self, index: Index | None) -> Tensor:
        if 0 in self.shape:
            return torch.empty(len(self) if index is None else len(index), self.shape[1], dtype=_torch_type(self.dtype))
        refuse_changed(self.path, self.stamp)
        try:
            dataset = HDF5.get(str(self.path), self.stamp)[self.key]
            if index is None:
                return to_tensor(dataset[(0,) * self.lead])
            return to_tensor(self._some(dataset, index))
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise unreadable(self.path, error) from error

    def _some(self, dataset: h5py.Dataset, index: Index) -> npt.NDArray[np.generic]:
        if not len(index):
            return np.empty((0, self.shape[1]), dataset.dtype)
        order = np.argsort(index, kind="stable")
        ranked = index[order]
        out = np.empty((len(index), self.shape[1]), dataset.dtype)
        starts = np.flatnonzero(np.diff(ranked, prepend=-NEAR - 1) > NEAR)
        for start, end in zip(starts, [*starts[1:], len(ranked)], strict=True):
            first, last = int(ranked[start]), int(ranked[end - 1])
            block = dataset[(0,) * self.lead + (slice(first, last + 1),)]
            out[order[start:end]] = block[ranked[start:end] - first]
        return out


@dataclass(frozen=True)
class Arranged(Rows):
    """Coordinates in another arrangement: columns swapped, multiplied, then shifted."""

    stored: Rows
    columns: tuple[int, int] = (0, 1)
    factor: float = 1.0
    shift: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """(N, 2)."""
        return len(self.stored), 2

    @property
    def dtype(self) -> str:  # type: ignore[override]
        """Name of the type."""
        return self.stored.dtype if (self.factor, self.shift) == (1.0, 0.0) else "float64"

    def _read(self, index: Index | None) -> Tensor:
        values = self.stored.read(index)[:, list(self.columns)]
        return values if self.dtype == self.stored.dtype else values.double() * self.factor + self.shift


_PLAIN = {np.float16, np.float32, np.float64, np.uint8, np.int8, np.int16, np.int32, np.int64}


def to_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A tensor of a numeric array in any byte order; wide unsigned integers become int64."""
    kind = array.dtype.type
    target = array.dtype.newbyteorder("=") if kind in _PLAIN else np.dtype(np.int64 if kind in _WIDE else np.float64)
    # What h5py read is ours already; what is mapped is the file.
    own = np.array if isinstance(array, np.memmap) else np.asarray
    return torch.from_numpy(own(array, dtype=target, order="C"))


def allocate(shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """A tensor to be filled. Numpy asks the kernel for large pages, which makes filling it four times as fast."""
    if dtype == torch.bfloat16:
        return torch.from_numpy(np.empty(shape, np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.empty(shape, str(dtype).removeprefix("torch.")))


_WIDE = {np.uint16, np.uint32, np.uint64}


def _torch_type(dtype: str) -> torch.dtype:
    return to_tensor(np.empty(0, np.dtype(dtype))).dtype


def fitting(features: Tensor, dtype: torch.dtype, path: Path) -> Tensor:
    """Rows in the type that they are to be written in, on the CPU.

    Args:
        features: (N, D).
        dtype: of the file.
        path: the file, for the message.

    Raises:
        StoreError: if a finite value overflows there.
    """
    values = features.detach().cpu().to(dtype).contiguous()
    if dtype == torch.float16 and features.dtype != torch.float16:
        lost = torch.isinf(values) & torch.isfinite(features.detach().cpu())
        if bool(lost.any()):
            raise StoreError(
                f"{path}: {int(lost.sum())} values are above 65504 and overflow float16. Write float32 instead."
            )
    return values


def refuse_changed(path: Path, stamp: Stamp) -> None:
    """Refuses a file that is not the one whose header was read: its rows may lie elsewhere now.

    Raises:
        StoreError: if size or time differ, or it is gone.
    """
    try:
        now = Stamp.of(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if now != stamp:
        raise StoreError(f"{path} changed since its header was read. Let whatever writes it finish, and start again.")


def unreadable(path: Path, error: Exception) -> StoreError:
    """The error for a file that cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{path} does not exist. Correct the path, or remove it if the stain is absent.")
    return cannot_be_read(StoreError, path, error, "It may be cut off or damaged: copy or extract it again.")


def open_hdf5(path: str) -> h5py.File:
    """Opens an HDF5 file for reading; where the file system has no locks, without."""
    return h5py.File(path, "r", locking="best-effort")


HDF5: Handles[h5py.File] = Handles(open_hdf5, lambda file: file.close())
