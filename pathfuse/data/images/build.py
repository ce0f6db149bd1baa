"""Fills a cache entry in parallel, so that a build that is killed at any moment goes on where it stopped."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from pathfuse.data.images.prepare import Preparation
from pathfuse.errors import ImageError, PathfuseError, RunError
from pathfuse.system.progress import available_cores, progress_bar
from pathfuse.system.reading import read_json

ARRAY, CHECKSUMS, FILES = "images.npy", "checksums.npy", "files.json"
SERIAL = 32  # fewer images than this are not worth starting processes for

Rows = npt.NDArray[np.uint8]
Map = np.memmap[Any, np.dtype[Any]]
Sums = npt.NDArray[np.int64]


def build(
    entry: Path,
    files: Sequence[Path],
    keys: list[str],
    preparation: Preparation,
    shape: tuple[int, ...],
    workers: int,
    title: str,
) -> None:
    """Makes the entry in `<entry>.partial` and renames it; the caller holds its lock.

    Raises:
        ImageError: if files cannot be prepared; all others are, and stay for the next attempt.
        OSError: if the disk is full or the folder cannot be written.
    """
    partial = entry.with_suffix(".partial")
    array, checksums = _open(partial, keys, shape)
    ready = done_rows(array, checksums)
    ready |= _adopt(entry, keys, array, checksums, ready)
    todo = [row for row in range(len(keys)) if row not in ready]
    checksums[todo] = -1
    failed: list[PathfuseError] = []
    for done in _progress(_prepared(files, preparation, partial / ARRAY, todo, workers), len(todo), title):
        if done.error is not None:
            failed.append(done.error)
        else:
            checksums[done.row] = done.checksum  # only after the row itself is written
    if failed:
        more = f" ({len(failed) - 1} more; `pathfuse data check` lists all.)" if len(failed) > 1 else ""
        raise type(failed[0])(f"{failed[0]}{more}") from failed[0]
    array.flush()
    checksums.flush()
    partial.rename(entry)


def done_rows(array: Rows, checksums: Sums) -> set[int]:
    """Rows that were prepared and are unharmed."""
    return {int(row) for row in np.flatnonzero(checksums >= 0) if zlib.crc32(array[row]) == checksums[row]}


def _open(partial: Path, keys: list[str], shape: tuple[int, ...]) -> tuple[Map, Map]:
    """Array and journal of a build: those of an interrupted one if they fit, else new ones."""
    try:
        if read_json(partial / FILES) == keys:
            array, sums = (np.load(partial / name, mmap_mode="r+", allow_pickle=False) for name in (ARRAY, CHECKSUMS))
            if array.shape == shape and sums.shape == shape[:1]:
                return array, sums
    except (OSError, ValueError, EOFError):
        pass  # nothing there, or not whole: start again
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        array = _create(partial / ARRAY, shape, np.uint8)
        sums = _create(partial / CHECKSUMS, shape[:1], np.int64)
        sums[:] = -1
        (partial / FILES).write_text(json.dumps(keys), encoding="utf-8")
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return array, sums


def _create(path: Path, shape: tuple[int, ...], dtype: type) -> Map:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        # Writing to a map on a full disk kills the process (SIGBUS); asking for the space first raises an error.
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _adopt(entry: Path, keys: list[str], array: Rows, checksums: Sums, ready: set[int]) -> set[int]:
    """Copies rows that another entry with the same settings holds, for example before one file was repaired."""
    wanted = {key: row for row, key in enumerate(keys) if row not in ready}
    adopted: set[int] = set()
    for other in entry.parent.glob(f"{entry.name.partition('-')[0]}-*"):
        if not wanted or not (other / FILES).exists() or other == entry.with_suffix(".partial"):
            continue
        try:
            known = read_json(other / FILES)
            theirs = np.load(other / ARRAY, mmap_mode="r", allow_pickle=False)
            sums = np.load(other / CHECKSUMS, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        for place, key in enumerate(known):
            if key in wanted and sums[place] >= 0 and zlib.crc32(theirs[place]) == sums[place]:
                row = wanted.pop(key)
                array[row], checksums[row] = theirs[place], sums[place]
                adopted.add(row)
    return adopted


class _Done(NamedTuple):
    row: int
    checksum: int
    error: PathfuseError | None = None


class _Work(Dataset[_Done]):
    """Prepares a row and writes it at its place; runs in a worker process."""

    def __init__(self, files: Sequence[Path], preparation: Preparation, target: Path) -> None:
        self.files = files
        self.preparation = preparation
        self.target = target
        self.bytes = 3 * preparation.size_px**2
        self.start = target.stat().st_size - self.bytes * len(files)

    def __getitem__(self, row: int) -> _Done:
        try:
            image = self.preparation(self.files[row])
        except ImageError as error:
            return _Done(row, -1, error)
        try:
            with self.target.open("r+b", buffering=0) as file:
                written = os.pwrite(file.fileno(), image.data, self.start + row * self.bytes)
            if written < self.bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            message = f"{self.target.parent} cannot be written ({error.strerror}). Free space or set data.cache."
            return _Done(row, -1, RunError(message))
        return _Done(row, zlib.crc32(image.data))


def _prepared(
    files: Sequence[Path], preparation: Preparation, target: Path, todo: list[int], workers: int
) -> Iterator[_Done]:
    # A data loader for its workers: they end when their parent is killed, and errors come back in one piece.
    loader = DataLoader(
        _Work(files, preparation, target),
        batch_size=None,
        sampler=todo,
        num_workers=min(workers, available_cores()) if len(todo) >= SERIAL else 0,
        collate_fn=_as_is,
        generator=torch.Generator(),
        in_order=False,
    )
    yield from loader


def _as_is(done: object) -> object:
    return done


def _progress(steps: Iterator[_Done], total: int, title: str) -> Iterator[_Done]:
    with progress_bar() as bar:
        task = bar.add_task(f"Preparing {title}", total=total)
        for step in steps:
            bar.advance(task)
            yield step
