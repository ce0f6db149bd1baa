"""Prepared images on disk: one memory-mapped uint8 array per stain, built once, shared by workers and ranks."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathfuse.data.images.build import ARRAY, CHECKSUMS, FILES, build, done_rows
from pathfuse.data.images.prepare import Preparation
from pathfuse.errors import ImageError, RunError
from pathfuse.system.reading import read_json

_locks: set[int] = set()


class PreparedImages:
    """The prepared images of one stain; opened anew in each process, which checks every image when it first reads it.

    Args:
        folder: a complete cache entry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._array: npt.NDArray[np.uint8] | None = None
        self._unseen: npt.NDArray[np.int64] = np.empty(0, np.int64)  # checksums of what was not read yet, else -1

    def __getitem__(self, row: int) -> npt.NDArray[np.uint8]:
        """One image, (3, H, W), a view of the file.

        Raises:
            ImageError: if its bytes are not those that were written.
        """
        if self._array is None:
            self._unseen = np.load(self.folder / CHECKSUMS, allow_pickle=False)
            # As a plain array: a row of a memory map is another memory map, which takes longer to make than to read.
            self._array = np.asarray(np.load(self.folder / ARRAY, mmap_mode="r", allow_pickle=False))
        image: npt.NDArray[np.uint8] = self._array[row]
        if self._unseen[row] >= 0:
            if zlib.crc32(image.data) != self._unseen[row]:
                raise ImageError(
                    f"{self.folder / ARRAY} is damaged: image {row} has other bytes than were written. Delete that "
                    "folder, and it is made again."
                )
            self._unseen[row] = -1
        return image

    def __getstate__(self) -> dict[str, Any]:
        # A memory map pickles as a copy of its contents.
        return {**self.__dict__, "_array": None, "_unseen": np.empty(0, np.int64)}


def prepared_images(
    files: Sequence[Path],
    preparation: Preparation,
    cache: Path,
    *,
    verify: bool = False,
    workers: int = 0,
    title: str = "images",
    before: Callable[[], object] | None = None,
) -> PreparedImages:
    """The prepared images of some files, from the cache where they are there, else made now.

    An entry is named by the files (path, size, time of change) and the settings. It is made in a `.partial` folder
    under a lock that the kernel releases when the process dies, and renamed when complete; an interrupted build goes
    on where it stopped, and images that another entry with the same settings holds are copied from there.

    Args:
        files: the images, a row each.
        preparation: what is done to them.
        cache: folder of all entries; it may be deleted at any time.
        verify: go by the contents of the files instead of the time of change, and check those of the cache.
        workers: processes that prepare.
        title: what the progress bar says.
        before: called when images have to be made, to look at the files first.

    Raises:
        ImageError: if files are missing or cannot be prepared.
        RunError: if the cache cannot be written.
    """
    keys = [_key(file, verify) for file in files]
    settings = hashlib.sha256(preparation.settings().encode()).hexdigest()[:16]
    name = f"{settings}-{hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16]}"
    entry = cache / "prepared" / name
    shape = (len(keys), 3, preparation.size_px, preparation.size_px)
    if not _complete(entry, keys, shape, verify):
        with _written(cache):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with _locked(entry.with_suffix(".lock")):
                if not _complete(entry, keys, shape, verify):  # another process may have made it meanwhile
                    if before is not None:
                        before()
                    shutil.rmtree(entry, ignore_errors=True)
                    build(entry, files, keys, preparation, shape, workers, title)
    return PreparedImages(entry)


def _key(file: Path, verify: bool) -> str:
    try:
        found = file.stat()
        version = hashlib.sha256(file.read_bytes()).hexdigest() if verify else str(found.st_mtime_ns)
    except OSError as error:
        raise ImageError(f"{file} cannot be read ({error.strerror}). Restore it, or remove the case.") from error
    return json.dumps([str(file.absolute()), found.st_size, version])


def _complete(entry: Path, keys: list[str], shape: tuple[int, ...], verify: bool) -> bool:
    """Whether an entry is whole: named files, shape and size of the array; with `verify`, every checksum."""
    try:
        if read_json(entry / FILES) != keys:
            return False
        array = np.load(entry / ARRAY, mmap_mode="r", allow_pickle=False)
        checksums = np.load(entry / CHECKSUMS, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    if array.shape != shape or array.dtype != np.uint8 or checksums.shape != shape[:1] or (checksums < 0).any():
        return False
    return not verify or len(done_rows(array, checksums)) == len(keys)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _locks.add(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        _locks.discard(handle)
        os.close(handle)


def _forget_locks() -> None:
    # A forked worker shares the lock and would hold it on after the death of its parent.
    for handle in _locks:
        os.close(handle)
    _locks.clear()


os.register_at_fork(after_in_child=_forget_locks)


@contextmanager
def _written(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cache {cache} cannot be written ({error.strerror}). Free space, or choose another folder with data.cache."
        ) from error
