"""Text files of a run folder, each held to the schema when it is read: the folder may be a stranger's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pathfuse.errors import RunError
from pathfuse.runs.files import Lines, TextFiles
from pathfuse.runs.schema import largest, table_of, wrong_mapping
from pathfuse.system.csv_table import read_csv


@dataclass(frozen=True)
class CheckedFiles(TextFiles):
    """A folder of text files whose names, forms and bounds are those of `pathfuse.runs.schema`."""

    def most(self, name: str) -> int:
        """Bytes that a file may have."""
        return largest(name) or super().most(name)

    def lines(self, name: str) -> Lines:
        """The lines of a CSV file; empty if there is none.

        Raises:
            RunError: if it is no table, lacks a column, or holds something else than a number.
        """
        if not self.has(name):
            return []
        columns = table_of(name)
        found = list(read_csv(self.path / name, columns.needs, content=self.content(name)).numbered())
        for line, row in found:
            for key in columns.figures:
                if not _is_number(row[key]):
                    raise RunError(
                        f"{self.path / name} line {line}: {key} {row[key][:40]!r} is no number. Restore the file."
                    )
        return [row for _, row in found]

    def _mapping(self, name: str) -> dict[str, Any]:
        return self.held(name, super()._mapping(name))

    def held(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        """The content of a file, which is of the form that the schema gives it.

        Raises:
            RunError: naming the place, if it is not.
        """
        if said := wrong_mapping(name, content):
            raise RunError(f"{self.path / name}: {said}. Restore the file.")
        return content


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
