"""Open files of this process: a few are kept, none crosses a fork, so a data-loader worker opens its own."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 16  # far below any limit on open files, also with many workers


class Handles(Generic[T]):
    """The most recently used open files.

    Args:
        open_file: opens a path.
        close: closes what `open_file` returned.
        kept: how many stay open.
    """

    def __init__(self, open_file: Callable[[str], T], close: Callable[[T], None], kept: int = KEPT) -> None:
        self._open = open_file
        self._close = close
        self._kept = kept
        self._known: OrderedDict[tuple[str, object], T] = OrderedDict()
        # HDF5 keeps state per process. A handle that a forked child inherits reads garbage, or deadlocks.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.clear)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, path: str, stamp: object = None) -> T:
        """The open file, opened now unless it is one of those kept; another `stamp` means that it is another file."""
        key = (path, stamp)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        handle = self._open(path)
        self._known[key] = handle
        if len(self._known) > self._kept:
            self._close(self._known.popitem(last=False)[1])
        return handle

    def clear(self) -> None:
        """Closes all."""
        while self._known:
            self._close(self._known.popitem()[1])
