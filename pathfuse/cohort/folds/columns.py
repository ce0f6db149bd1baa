"""Splits as columns of a case table: `split`, `split_<repeat>_<fold>` for several, or a column of fold numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from pathfuse.cohort.folds.check import by_place, label_of
from pathfuse.cohort.folds.draw import Splits, with_validation
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.table import PARTS, Case
from pathfuse.errors import CaseTableError
from pathfuse.system.csv_table import read_csv
from pathfuse.system.csv_writing import CsvRecordWriter
from pathfuse.system.files import write_text

_COLUMN = re.compile(r"split_(\d+)_(\d+)")


def read_columns(
    cases: Sequence[Case], column: str = "", *, stratify: str = "label", val_fraction: float = 0.2, seed: int = 0
) -> Splits:
    """The splits that a case table holds.

    Args:
        cases: the cohort.
        column: a column of train, val and test, or of fold numbers, each of which is a test fold; empty takes all
            columns `split_<repeat>_<fold>`, else `split`.
        stratify: the label column, which is never taken for a fold.
        val_fraction: share of a training part without validation cases that becomes validation.
        seed: of that draw.

    Raises:
        CaseTableError: if there is no such column, or a cell is neither a part nor a fold.
    """
    if column and column == stratify:
        raise CaseTableError(f"column {column} is the label, not a fold. Name the column of folds.")
    notes: list[str] = []
    rows: list[FoldRow] = []
    for (repeat, fold), parts in _columns(cases, column).items():
        own = [FoldRow(repeat, fold, c.case_id, c.patient_id, part) for c, part in zip(cases, parts, strict=True)]
        if not any(row.part == "val" for row in own):
            own = with_validation(own, cases, val_fraction=val_fraction, seed=seed, stratify=stratify)
            notes.append(
                f"repeat {repeat}, fold {fold}: no validation cases; they are drawn from training, seed {seed}."
            )
        rows += own
    return Splits(tuple(rows), tuple(notes))


def write_columns(path: Path, rows: Sequence[FoldRow], table: Path) -> list[Path]:
    """Writes a copy of a case table with one column per split; further columns stay as they are.

    Args:
        path: the copy; beside the table, if its paths are relative.
        rows: the splits; nested ones have no form here.
        table: the case table.

    Raises:
        CaseTableError: for nested splits, or if the table cannot be read.
    """
    if any(row.inner for row in rows):
        raise CaseTableError("nested splits have no form in columns. Write them in the format of pathfuse.")
    if path.resolve().parent != table.resolve().parent:
        raise CaseTableError(
            f"{path} would not lie beside {table}, whose paths are relative to it. Choose --out there."
        )
    places = by_place(rows)
    parts = {place: {row.case_id: row.part for row in own} for place, own in places.items()}
    names = {place: "split" if len(places) == 1 else f"split_{place[0]}_{place[1]}" for place in places}
    given = read_csv(table, ("case_id",), error=CaseTableError, advice="Correct the case table.")
    kept = [name for name in given.header if name != "split" and not _COLUMN.fullmatch(name)]
    text = io.StringIO()
    out = CsvRecordWriter(text, [*kept, *names.values()], lineterminator="\n")
    for line in given:
        out.writerow({**line, **{names[place]: parts[place].get(line["case_id"].strip(), "") for place in places}})
    write_text(path, text.getvalue())
    return [path]


def _columns(cases: Sequence[Case], column: str) -> dict[tuple[int, int], list[str]]:
    if not column:
        found = {match.groups(): name for name in cases[0].labels if (match := _COLUMN.fullmatch(name))}
        if found:
            return {
                (int(repeat), int(fold)): [_part(case, case.labels.get(name, ""), name) for case in cases]
                for (repeat, fold), name in found.items()
            }
        column = "split"
    cells = [case.split if column == "split" else label_of(case, column) for case in cases]
    if set(cells) <= set(PARTS) and "train" in cells:
        return {(0, 0): cells}
    folds = sorted({cell for cell in cells if cell.isdecimal()}, key=int)
    for case, cell in zip(cases, cells, strict=True):
        if not cell.isdecimal():
            _part(case, cell, column)
    if len(folds) < 2 or any(not cell.isdecimal() for cell in cells):
        raise CaseTableError(
            f"column {column} holds neither train, val and test nor two fold numbers. Name another one."
        )
    return {(0, k): ["test" if cell == fold else "train" for cell in cells] for k, fold in enumerate(folds)}


def _part(case: Case, cell: str, column: str) -> str:
    if cell not in PARTS:
        raise CaseTableError(
            f"case {case.case_id}: {cell!r} in column {column} is neither one of {', '.join(PARTS)} nor a fold number."
        )
    return cell
