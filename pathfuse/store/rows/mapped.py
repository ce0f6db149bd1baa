"""Rows that are mapped from a file: `.npy`, or a contiguous HDF5 dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.store.rows.files import FileRows
from pathfuse.store.rows.rows import Index
from pathfuse.store.rows.stamp import Stamp, refuse_changed, unreadable
from pathfuse.store.rows.tensors import PLAIN, allocate, to_tensor
from pathfuse.store.sums import BlockSums, bytes_of


@dataclass(frozen=True)
class MappedRows(FileRows):
    """Rows that lie one after another in a file: `.npy`, or a contiguous HDF5 dataset through its file offset."""

    offset: int
    layout: str = "C"
    sums: BlockSums | None = None

    def read_into(self, out: Tensor, index: Index | None = None) -> None:
        """As `read`, into a tensor; a whole bag is converted on its way from the file, without a copy in between."""
        if index is None and self._direct and 0 not in self.shape:
            out.copy_(torch.from_numpy(self._map(None)))
        else:
            out.copy_(self.read(index))

    def _stored(self, index: Index | None) -> Tensor:
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
        return stored.isnative and stored.type in PLAIN and self.layout == "C"

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
