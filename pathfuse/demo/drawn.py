"""A demo cohort in the cache, drawn when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pathfuse.demo.cohort import Generated, Progress, demo_folder
from pathfuse.system.progress import progress_bar

_G = TypeVar("_G", bound=Generated)


def drawn(options: _G, cache: Path, write: Callable[[Path, _G, Progress], Path], what: str) -> Path:
    """The case table of a cohort, with a bar while it is drawn.

    Args:
        options: the cohort.
        cache: folder of all cohorts.
        write: draws it into a folder; uses one that is finished as it is.
        what: is drawn, for the bar.
    """
    with progress_bar() as bar:
        task = bar.add_task(f"Drawing the demo {what}", total=None)
        return write(demo_folder(options, cache), options, lambda done, n: bar.update(task, completed=done, total=n))
