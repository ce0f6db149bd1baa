"""Rows of chunked or compressed HDF5 datasets."""

from __future__ import annotations

from dataclasses import dataclass

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from torch import Tensor

from pathfuse.store.handles import Handles
from pathfuse.store.rows.files import FileRows
from pathfuse.store.rows.rows import Index
from pathfuse.store.rows.stamp import refuse_changed, unreadable
from pathfuse.store.rows.tensors import to_tensor

NEAR = 16  # rows this close are read in one go from a chunked array: a call costs about as much as 16 rows


def open_hdf5(path: str) -> h5py.File:
    """Opens an HDF5 file for reading; where the file system has no locks, without."""
    return h5py.File(path, "r", locking="best-effort")


HDF5: Handles[h5py.File] = Handles(open_hdf5, lambda file: file.close())


@dataclass(frozen=True)
class Hdf5Rows(FileRows):
    """Rows of a chunked or compressed HDF5 dataset; `lead` axes of length 1 precede them."""

    key: str
    lead: int = 0

    def _stored(self, index: Index | None) -> Tensor:
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
