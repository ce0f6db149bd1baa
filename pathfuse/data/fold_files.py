"""The file of folds: who trains, who selects and who is reported, in every repeat and fold."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pathfuse.data.cases import PARTS, Case
from pathfuse.errors import CaseTableError
from pathfuse.files import write_text

COLUMNS = ("repeat", "fold", "case_id", "patient_id", "part")
NESTED = ("repeat", "fold", "inner", "case_id", "patient_id", "part")


class FoldRow(NamedTuple):
    """The part of one case in one fold; `inner` counts the inner folds of nested cross-validation."""

    repeat: int
    fold: int
    case_id: str
    patient_id: str
    part: str
    inner: int = 0

    @property
    def place(self) -> tuple[int, int, int]:
        """Repeat, fold and inner fold: rows with the same place are one split of the cohort."""
        return self.repeat, self.fold, self.inner


def place_name(place: tuple[int, int, int], nested: bool = False) -> str:
    """How messages name one split."""
    repeat, fold, inner = place
    return f"repeat {repeat}, fold {fold}" + (f", inner fold {inner}" if nested else "")


def write_folds(path: Path, rows: Sequence[FoldRow]) -> str:
    """Writes the file and returns its SHA-256."""
    text = folds_text(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return hashlib.sha256(text.encode()).hexdigest()


def folds_text(rows: Sequence[FoldRow]) -> str:
    """The content of the file; column `inner` is there only if it says something."""
    columns = NESTED if any(row.inner for row in rows) else COLUMNS
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([getattr(row, name) for name in columns] for row in rows)
    return text.getvalue()


def folds_sha256(path: Path) -> str:
    """The hash by which runs say what they were split by.

    Raises:
        CaseTableError: if the file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CaseTableError(
            f"{path} cannot be read ({error.strerror}). Make it with `pathfuse data split`."
        ) from error


def read_folds(path: Path) -> list[FoldRow]:
    """Reads the file back.

    Raises:
        CaseTableError: naming the line and what is wrong there.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = tuple(next(reader, []))
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaseTableError(f"{path} cannot be read ({error}). Make it with `pathfuse data split`.") from error
    if header not in (COLUMNS, NESTED):
        raise CaseTableError(
            f"{path.name} line 1: expected the columns {', '.join(COLUMNS)}. Make it with `pathfuse data split`."
        )
    if not lines:
        raise CaseTableError(f"{path.name} holds no fold. Make it with `pathfuse data split`.")
    return [_row(path, number, header, cells) for number, cells in lines]


def parts_of(rows: Iterable[FoldRow], repeat: int = 0, fold: int = 0, inner: int = 0) -> dict[str, str]:
    """Case to part in one split.

    Raises:
        CaseTableError: if there is no such split.
    """
    found = list(rows)
    parts = {row.case_id: row.part for row in found if row.place == (repeat, fold, inner)}
    if not parts:
        last = max(row.place for row in found) if found else (0, 0, 0)
        raise CaseTableError(
            f"the splits have no {place_name((repeat, fold, inner), nested=True)}; the last is "
            f"{place_name(last, nested=True)}."
        )
    return parts


def apply_folds(
    cases: Sequence[Case], rows: Iterable[FoldRow], repeat: int = 0, fold: int = 0, inner: int = 0
) -> list[Case]:
    """The cases with the parts that they have in one split.

    Raises:
        CaseTableError: if there is no such split, or a case is not in it.
    """
    parts = parts_of(rows, repeat, fold, inner)
    missing = [case.case_id for case in cases if case.case_id not in parts]
    if missing:
        raise CaseTableError(
            f"{len(missing)} cases are not in the splits, first {missing[0]}. Draw the splits again for this cohort."
        )
    return [replace(case, split=parts[case.case_id]) for case in cases]


def _row(path: Path, number: int, header: tuple[str, ...], cells: list[str]) -> FoldRow:
    if len(cells) != len(header):
        raise CaseTableError(f"{path.name} line {number}: {len(cells)} cells, but the header has {len(header)}.")
    said = dict(zip(header, cells, strict=True))
    for name in ("repeat", "fold", "inner"):
        if not said.get(name, "0").isdecimal():
            raise CaseTableError(f"{path.name} line {number}: {name} {said[name]!r} is no whole number. Correct it.")
    if said["part"] not in PARTS:
        raise CaseTableError(
            f"{path.name} line {number}: part {said['part']!r} is none of {', '.join(PARTS)}. Correct it."
        )
    inner = int(said.get("inner", "0"))
    return FoldRow(int(said["repeat"]), int(said["fold"]), said["case_id"], said["patient_id"], said["part"], inner)
