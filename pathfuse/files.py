"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pathfuse.errors import RunError


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when the block ends without an error.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}). Free space or choose another folder.") from error
    finally:
        # Where a parent is a file there is nothing to remove, and saying so would hide the error above.
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file, or nothing."""
    with atomic_text(path) as file:
        file.write(text)
