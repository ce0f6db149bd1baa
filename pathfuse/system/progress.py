"""A progress bar for work on many files, and the number of cores there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_T = TypeVar("_T")
_R = TypeVar("_R")


def progress_bar() -> Progress:
    """A bar on standard error that disappears when done; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has none


def in_threads(work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """`map` over the cores that this process may use, in order and with few results waiting.

    Threads, as the heavy steps are numpy and PNG calls that run without the interpreter's lock: nothing to pickle,
    no start-up, and safe in a process that holds a GPU or other threads.
    """
    cores = available_cores()
    left = iter(items)
    with ThreadPoolExecutor(min(cores, 8)) as pool:
        try:
            waiting = [pool.submit(work, item) for item in islice(left, 4 * cores)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(work, item) for item in islice(left, 1)]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
