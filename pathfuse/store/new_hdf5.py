"""New HDF5 files on a disk that may be full: HDF5 itself never sees a write fail."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py  # type: ignore[import-untyped]


class _Patient(io.FileIO):
    """A file that keeps its first fault for itself, and takes what is written afterwards without keeping it.

    A file of HDF5 whose last write fails is neither open nor closed: closing it again at the end of the program is a
    segmentation fault. So it is let finish, and what it wrote is thrown away.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.fault: OSError | None = None

    def write(self, data: object) -> int:
        """All of it, or as if."""
        left = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = len(left)
        while self.fault is None and len(left):
            try:
                left = left[super().write(left) or 0 :]
            except OSError as error:
                self.fault = error
        if self.fault is not None:
            self.seek(len(left), io.SEEK_CUR)
        return size

    def truncate(self, size: int | None = None) -> int:
        """The length that is asked for, or as if."""
        if self.fault is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.fault = error
        return self.tell() if size is None else size

    def readinto(self, buffer: object) -> int:
        """What is there; what was never written is zero, so that a read is never short."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = super().readinto(view) or 0
        if self.fault is not None:
            view[count:] = bytes(len(view) - count)
            return len(view)
        return count


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file for writing; it takes the place of one that is there.

    Args:
        path: the file.

    Raises:
        OSError: after the block, if any of it could not be written: the disk is full, or a file may not grow so large.
    """
    with _Patient(path) as target:
        try:
            with h5py.File(target, "w") as file:
                yield file
        finally:
            if target.fault is not None:
                raise target.fault
