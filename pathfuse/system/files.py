"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pathfuse.errors import PathfuseError, RunError


@contextmanager
def replacing(path: Path, *, error: type[PathfuseError] = RunError) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place when the block ends without an error.

    Args:
        path: the file; its folder is made if it is not there.
        error: what a folder that cannot be written to, or a full disk, is reported as.

    Raises:
        PathfuseError: of that kind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as found:
        why = found.strerror or str(found).splitlines()[0]
        raise error(f"{path} cannot be written ({why}). Free space or choose another folder.") from found
    finally:
        with suppress(OSError):  # no folder, no temporary file
            temporary.unlink()


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when the block ends without an error.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file, or nothing."""
    with atomic_text(path) as file:
        file.write(text)
