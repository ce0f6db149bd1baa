"""The file of folds: who trains, who selects and who is reported, in every repeat and fold."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pathfuse.cohort.table import PARTS, Case
from pathfuse.errors import CaseTableError
from pathfuse.system.csv_table import read_csv_lines
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_whole

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
    table = CsvWriter(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([getattr(row, name) for name in columns] for row in rows)
    return text.getvalue()


def folds_sha256(path: Path) -> str:
    """The hash by which runs say what they were split by.

    Raises:
        CaseTableError: if the file cannot be read.
    """
    try:
        return hashlib.sha256(read_whole(path)).hexdigest()
    except OSError as error:
        raise CaseTableError(
            f"{path} cannot be read ({error.strerror}). Make it with `pathfuse data split`."
        ) from error


def read_folds(path: Path) -> list[FoldRow]:
    """Reads the file back.

    Raises:
        CaseTableError: naming the line and what is wrong there.
    """
    rows = read_csv_lines(path, error=CaseTableError, advice="Make it with `pathfuse data split`.")
    header, lines = tuple(rows[0][1]) if rows else (), rows[1:]
    if header not in (COLUMNS, NESTED):
        raise CaseTableError(
            f"{path.name} line 1: expected the columns {', '.join(COLUMNS)}. Make it with `pathfuse data split`."
        )
    if not lines:
        raise CaseTableError(f"{path.name} holds no fold. Make it with `pathfuse data split`.")
    return [_row(path, number, header, cells) for number, cells in lines]


def parts_of(
    rows: Iterable[FoldRow], repeat: int = 0, fold: int = 0, inner: int = 0, *, name: str = "the splits"
) -> dict[str, str]:
    """Case to part in one split.

    Args:
        rows: all splits.
        repeat: of the wanted split.
        fold: of the wanted split.
        inner: of the wanted split.
        name: how messages call the rows.

    Raises:
        CaseTableError: if there is no such split.
    """
    return {row.case_id: row.part for row in _rows_of(rows, (repeat, fold, inner), name)}


def apply_folds(
    cases: Sequence[Case],
    rows: Iterable[FoldRow],
    repeat: int = 0,
    fold: int = 0,
    inner: int = 0,
    *,
    name: str = "the splits",
) -> list[Case]:
    """The cases with the parts that they have in one split.

    Args:
        cases: the cohort, or some cases of it.
        rows: all splits.
        repeat: of the wanted split.
        fold: of the wanted split.
        inner: of the wanted split.
        name: how messages call the rows.

    Raises:
        CaseTableError: if there is no such split, or a case is not in it or is another patient's there.
    """
    own = {row.case_id: row for row in _rows_of(rows, (repeat, fold, inner), name)}
    missing = [case.case_id for case in cases if case.case_id not in own]
    if missing:
        raise CaseTableError(
            f"{name}: {len(missing)} of {len(cases)} cases are not in {place_name((repeat, fold, inner))}, first "
            f"{missing[0]}. Draw the splits again with "
            "`pathfuse data split` on the case table of this cohort."
        )
    for case in cases:
        if own[case.case_id].patient_id != case.patient_id:
            raise CaseTableError(
                f"{name}: case {case.case_id} belongs to patient {own[case.case_id].patient_id} here, but to "
                f"{case.patient_id} in the case table. Draw the splits again."
            )
    return [replace(case, split=own[case.case_id].part) for case in cases]


def _rows_of(rows: Iterable[FoldRow], place: tuple[int, int, int], name: str) -> list[FoldRow]:
    found = list(rows)
    own = [row for row in found if row.place == place]
    if not own:
        last = max(row.place for row in found) if found else (0, 0, 0)
        raise CaseTableError(
            f"{name}: there is no {place_name(place, nested=True)}; the last is {place_name(last, nested=True)}."
        )
    return own


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
