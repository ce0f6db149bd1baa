"""Vectors of a cohort: columns of a table, standardised and encoded on the training part only."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathfuse.cohort.table import Case
from pathfuse.core import Column
from pathfuse.errors import CaseTableError
from pathfuse.system.csv_table import read_csv

KEYS = ("case_id", "patient_id")
UNKNOWN = ("", "na", "n/a", "#n/a", "nan", "null", "none", "unknown", "?", "-")
LAST_BITS = 1e-12  # of a number; deviations below are those of adding up, not of what was measured
MOST_CATEGORIES = 32  # more are names or dates, which tell nothing about new patients


@dataclass(frozen=True)
class VectorTable:
    """A table with a row per case or per patient.

    Attributes:
        path: the file.
        key: `case_id` or `patient_id`, by which rows belong to cases.
        names: its other columns.
        cells: per key, the cells of these columns; "" where unknown.
    """

    path: Path
    key: str
    names: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]

    def row(self, case: Case) -> tuple[str, ...] | None:
        """The cells of a case; None where the table has no row for it."""
        return self.cells.get(case.case_id if self.key == "case_id" else case.patient_id)


def read_vectors(path: Path) -> VectorTable:
    """Reads a CSV with a column `case_id` or `patient_id` and any number of others.

    Raises:
        CaseTableError: naming the file and the line, if it cannot be read or a row does not fit.
    """
    table = read_csv(path, strip=True, error=CaseTableError, advice="It needs a row per case or patient.")
    keys = [name for name in KEYS if name in table.header]
    names = tuple(name for name in table.header if name not in KEYS)
    if not keys or not names:
        raise CaseTableError(
            f"{path} line 1 has the columns {', '.join(table.header)}. It needs case_id or patient_id, and one column "
            "per value."
        )
    cells: dict[str, tuple[str, ...]] = {}
    for line, said in table.numbered():
        if not said[keys[0]] or said[keys[0]] in cells:
            gap = "is empty" if not said[keys[0]] else f"{said[keys[0]]} has a row already"
            raise CaseTableError(f"{path} line {line}: {keys[0]} {gap}. Keep one row for each.")
        cells[said[keys[0]]] = tuple("" if said[name].lower() in UNKNOWN else said[name] for name in names)
    return VectorTable(path, keys[0], names, cells)


def fit_columns(table: VectorTable, training: Sequence[Case]) -> tuple[Column, ...]:
    """How the columns are encoded, by the rows of the training cases alone.

    A column in which every known cell is a number is standardised; any other has an entry per category.

    Raises:
        CaseTableError: if no training case has a row, or a column has too many categories to tell anything.
    """
    rows = {key: row for case in training if (row := table.row(case)) is not None for key in [_key(table, case)]}
    if not rows:
        raise CaseTableError(
            f"{table.path} has no row for a training case; its first {table.key} is "
            f"{next(iter(table.cells), 'missing')}. Correct the names there."
        )
    return tuple(
        _column(table, name, [row[place] for row in rows.values() if row[place]])
        for place, name in enumerate(table.names)
    )


def encode(
    table: VectorTable, columns: Sequence[Column], cases: Sequence[Case]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The vectors (N, D) of some cases, and (N,) which of them have a row.

    An unknown number is its mean with its second entry 0; a category that training did not have is no category.

    Raises:
        CaseTableError: if a column is missing, or a cell of a column of numbers is none.
    """
    missing = [column.name for column in columns if column.name not in table.names]
    if missing:
        raise CaseTableError(f"{table.path} has no column {missing[0]!r}, which the model was trained with. Add it.")
    places = [table.names.index(column.name) for column in columns]
    width = sum(column.width for column in columns)
    values = np.zeros((len(cases), width), np.float32)
    present = np.zeros(len(cases), bool)
    for number, case in enumerate(cases):
        row = table.row(case)
        if row is not None:
            present[number] = True
            entries = [_entries(table, column, row[place], case) for column, place in zip(columns, places, strict=True)]
            values[number] = np.concatenate(entries)
    return values, present


def unseen(table: VectorTable, columns: Sequence[Column], cases: Collection[Case]) -> list[str]:
    """A line per column with categories that training did not have."""
    notes = []
    for column in columns:
        if column.kind == "category" and column.name in table.names:
            place = table.names.index(column.name)
            cells = {row[place] for case in cases if (row := table.row(case)) is not None} - {"", *column.categories}
            if cells:
                notes.append(
                    f"{table.path.name}: {column.name} has {min(cells)!r}, which no training case has: unknown."
                )
    return notes


def _key(table: VectorTable, case: Case) -> str:
    return case.case_id if table.key == "case_id" else case.patient_id


def _column(table: VectorTable, name: str, cells: Sequence[str]) -> Column:
    numbers = [_number(cell) for cell in cells]
    if cells and all(number is not None for number in numbers):
        known = np.array(numbers, np.float64)
        deviation = float(known.std())
        # By the last bits of equal numbers, a case that differs from them would be taken for a million million.
        constant = deviation <= LAST_BITS * float(np.abs(known).max())
        return Column(name, "number", float(known.mean()), 1.0 if constant else deviation)
    categories = tuple(sorted(set(cells)))
    if len(categories) > MOST_CATEGORIES:
        odd = next(cell for cell in cells if _number(cell) is None)
        raise CaseTableError(
            f"{table.path}: column {name!r} has {len(categories)} different texts, such as {odd!r}. Remove the column, "
            "or correct the cell if it holds numbers."
        )
    return Column(name, "category", categories=categories)


def _entries(table: VectorTable, column: Column, cell: str, case: Case) -> npt.NDArray[np.float32]:
    if column.kind == "category":
        return np.array([cell == category for category in column.categories], np.float32)
    if not cell:
        return np.zeros(2, np.float32)
    number = _number(cell)
    if number is None:
        raise CaseTableError(
            f"{table.path}: {column.name} of {case.case_id} is {cell!r}, and training had numbers there. Correct it, "
            "or leave the cell empty."
        )
    return np.array([(number - column.mean) / column.deviation, 1.0], np.float32)


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
