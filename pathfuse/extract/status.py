"""status.csv: what became of every slide, kept up by any number of processes."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from pathfuse.system.csv_table import read_csv
from pathfuse.system.files import atomic_text
from pathfuse.system.locks import held

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


COLUMNS = tuple(field.name for field in fields(Status))


def record(table: Path, status: Status) -> None:
    """Puts one slide's row into the table; a skipped slide keeps the row of the run that did it.

    Raises:
        RunError: if the table cannot be written.
    """
    with held(table, table.with_name(".status.lock")):
        rows = read_status(table)
        if status.status == "skipped" and rows.get(status.slide, status).status in ("done", "empty"):
            return
        rows[status.slide] = status
        with atomic_text(table) as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(astuple(rows[name]) for name in sorted(rows))


def read_status(table: Path) -> dict[str, Status]:
    """The rows by slide; empty if there is no table.

    Raises:
        RunError: if it is not the table that an extraction writes.
    """
    if not table.is_file():
        return {}
    rows = read_csv(table, COLUMNS, known=(), advice="Remove it; the next extraction writes it.")
    return {row["slide"]: Status(**row) for row in rows}  # type: ignore[arg-type]


def recorded_as_done(table: Path) -> frozenset[str]:
    """The slides that the table has as done or empty; asked once, because to record is to read all of the table."""
    return frozenset(name for name, row in read_status(table).items() if row.status in ("done", "empty"))
