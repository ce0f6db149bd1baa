"""Locks that the kernel releases when their process ends, however it ends."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows: one process per folder
    fcntl = None  # type: ignore[assignment]

from pathfuse.errors import RunError

_held: set[int] = set()


def _forget_held() -> None:
    """A process that was forked holds no lock: it would keep it, without knowing, after the death of its parent."""
    while _held:
        with suppress(OSError):
            os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_held)

PATIENCE_S = 30.0  # for work that takes a moment, such as rewriting a table


class FileLock:
    """The right to do one thing, such as a slide or a run; held by at most one process.

    The file is removed on release, and is only a handle: a lock is the kernel's and ends with its process, so a file
    left behind by a killed process locks nothing.

    Args:
        path: the lock file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._owner = 0

    def acquire(self) -> bool:
        """Takes the lock if nobody has it; does not wait.

        Raises:
            RunError: if the folder cannot be written to.
        """
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise RunError(f"{self.path} cannot be written ({error.strerror}). Choose another --out.") from error
            try:
                free = _lock(file)
            except OSError as error:
                os.close(file)
                raise RunError(
                    f"{self.path} cannot be locked ({error.strerror}): this file system has no locks. "
                    "Choose an --out on another one."
                ) from error
            if not free:
                os.close(file)
                return False
            # Its last owner may have removed the name between our open and our lock: then we hold nothing.
            if _same(file, self.path):
                self._file, self._owner = file, os.getpid()
                _held.add(file)
                return True
            os.close(file)

    def release(self) -> None:
        """Gives the lock back."""
        if self._file is not None and self._owner == os.getpid():
            self.path.unlink(missing_ok=True)  # while it is still held, or another process's new file would go
            _held.discard(self._file)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def held(table: Path, lock: Path) -> FileLock:
    """The lock of a table that every process rewrites in a moment; waits for the others.

    Args:
        table: for the message.
        lock: the lock file.

    Raises:
        RunError: if another process keeps it.
    """
    own = FileLock(lock)
    end = time.monotonic() + PATIENCE_S
    while not own.acquire():
        if time.monotonic() > end:
            raise RunError(f"{table} is locked by another process that does not go on. Stop that process.")
        time.sleep(0.02)
    return own


def _lock(file: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
