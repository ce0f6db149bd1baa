"""status.csv: what became of every slide, kept up by any number of processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pathfuse.system.status_table import StatusTable

State = Literal["done", "empty", "skipped", "failed"]


@dataclass(frozen=True)
class Status:
    """One slide.

    Attributes:
        slide: its name.
        status: `done`, `empty` (no patch has enough tissue), `skipped` (was done before) or `failed`.
        patches: rows in its feature file.
        mpp: micrometres per level-0 pixel that were used.
        seconds: time it took.
        reason: why it failed, in one line.
        path: the slide's file.
    """

    slide: str
    status: State
    patches: str = ""
    mpp: str = ""
    seconds: str = ""
    reason: str = ""
    path: str = ""


TABLE = StatusTable(Status, "Remove it; the next extraction writes it.")
DONE = ("done", "empty")


def record(table: Path, status: Status) -> None:
    """Puts one slide's row into the table; a skipped slide keeps the row of the run that did it.

    Raises:
        RunError: if the table cannot be read or written.
    """
    TABLE.record(table, status, stays=lambda before: status.status == "skipped" and before.status in DONE)


def recorded_as_done(table: Path) -> frozenset[str]:
    """The slides that the table has as done or empty; asked once, because to record is to read all of the table."""
    return frozenset(name for name, row in TABLE.read(table).items() if row.status in DONE)
