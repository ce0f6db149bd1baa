"""Status tables: a row per thing that was worked on, kept up by any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from pathfuse.system.csv_table import read_csv
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text
from pathfuse.system.locks import held

R = TypeVar("R")


class StatusTable(Generic[R]):
    """The table of one kind of rows.

    Args:
        kind: a dataclass of texts; its first field names the thing.
        advice: what to do with a file that is no such table.
    """

    def __init__(self, kind: Callable[..., R], advice: str) -> None:
        self.kind = kind
        self.advice = advice
        known: Any = kind
        self.columns = tuple(field.name for field in fields(known))

    def read(self, table: Path) -> dict[str, R]:
        """The rows by name; empty if there is no table.

        Raises:
            RunError: if the file is no such table.
        """
        if not table.is_file():
            return {}
        rows = read_csv(table, self.columns, known=(), advice=self.advice)
        return {row[self.columns[0]]: self.kind(**row) for row in rows}

    def record(self, table: Path, row: R, *, stays: Callable[[R], bool] = lambda before: False) -> None:
        """Puts a row into the table.

        Args:
            table: the file; made if it is not there.
            row: the row.
            stays: whether the row that is there already is kept instead.

        Raises:
            RunError: if the table cannot be written.
        """
        name = str(getattr(row, self.columns[0]))
        with held(table, table.with_name(".status.lock")):
            rows: dict[str, Any] = {**self.read(table)}
            if name in rows and stays(rows[name]):
                return
            rows[name] = row
            with atomic_text(table) as file:
                writer = CsvWriter(file)
                writer.writerow(self.columns)
                writer.writerows(astuple(rows[known]) for known in sorted(rows))
