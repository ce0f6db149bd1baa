"""The right to train in a run folder, which one process has at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pathfuse.errors import RunError
from pathfuse.runs.files import LOCK
from pathfuse.system.locks import FileLock


@contextmanager
def only_trainer(path: Path) -> Iterator[None]:
    """Within the block no other process trains in a folder; the kernel gives it free again, however the process ends.

    Args:
        path: the folder; it is made, and goes again if nothing was written.

    Raises:
        RunError: if another process is at it, or the folder cannot be written to.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    lock = FileLock(path / LOCK)
    if not lock.acquire():
        raise RunError(
            f"{path} is being trained by another process. Let it finish, or stop it; then go on with: "
            f"pathfuse fit --resume {path}"
        )
    try:
        with lock:
            yield
    finally:
        with suppress(OSError):  # the first that is not empty ends it
            for folder in made:
                folder.rmdir()
