"""Copies of a file: equal bytes under two names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from pathfuse.cohort.folds.duplicates import perceptual_hash
from pathfuse.cohort.sources.pairs import SUFFIXES
from pathfuse.errors import PathfuseError
from pathfuse.store.read import open_slide, suffixes

_PIECE = 4096  # bytes that are compared first, at the beginning, in the middle and at the end
_BLOCK = 1 << 20


def copies(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Pairs of files with equal bytes, the first beside each of its copies.

    What says nothing is passed over: features without a row, and images without a pattern, which are equal by chance.

    Args:
        paths: files, each once; what is not there is passed over.
    """
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        try:
            by_size.setdefault(path.stat().st_size, []).append(path)
        except OSError:
            continue
    for size, group in by_size.items():
        first: dict[str, Path] = {}
        for path in _alike(group, size) if len(group) > 1 else ():
            other = first.setdefault(_digest(path, path.stat().st_mtime_ns), path)
            if other is not path and _says_something(path):
                yield other, path


def _alike(group: list[Path], size: int) -> list[Path]:
    """The files of one size whose pieces occur twice."""
    pieces: dict[bytes, list[Path]] = {}
    for path in group:
        pieces.setdefault(_pieces(path, size), []).append(path)
    return [path for same in pieces.values() if len(same) > 1 for path in same]


def _pieces(path: Path, size: int) -> bytes:
    found = b""
    try:
        with path.open("rb") as file:
            for place in (0, size // 2, max(0, size - _PIECE)):
                file.seek(place)
                found += file.read(_PIECE)
    except OSError:
        return str(path).encode()  # `pathfuse data check` says what is wrong with it
    return found


@lru_cache(maxsize=10_000)
def _digest(path: Path, changed_ns: int) -> str:
    del changed_ns  # a part of the key alone
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _says_something(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return perceptual_hash(path) is not None
    if suffix in suffixes():
        try:
            return len(open_slide(path)) > 0
        except PathfuseError:
            return True
    return True
