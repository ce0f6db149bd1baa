"""The stamp of a file whose header was read, and errors of files that changed or cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pathfuse.errors import StoreError, cannot_be_read


class Stamp(NamedTuple):
    """Size and time of a file when its header was read."""

    size: int
    time: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file as it is now."""
        state = os.stat(path)
        return cls(state.st_size, state.st_mtime_ns)


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
