"""Reads the label tables that go with folders of features, as several tools write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathfuse.cohort.label_map import ISH
from pathfuse.errors import CaseTableError

CASE = ("case_id", "PATIENT", "patient", "id", "ID", "slide_id")
SLIDE = ("slide_id", "FILENAME", "slide")
PATIENT = ("patient_id", "PATIENT", "patient")
SPLITS = ("train", "val", "test")


@dataclass
class Labelled:
    """One case of a label table.

    Attributes:
        line: where it was first named.
        case_id: its name.
        patient_id: its patient; the case where the table does not say.
        label: class name, empty where unknown.
        split: part, empty where unknown.
        slides: names of its slides; empty where the table does not say.
        stains: per stain column of MADELEINE, whether it exists.
        more: further columns, for example the fold.
    """

    line: int
    case_id: str
    patient_id: str
    label: str = ""
    split: str = ""
    slides: list[str] = field(default_factory=list)
    stains: dict[str, bool] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)


def read_labels(path: Path, *, label: str = "label", stains: Sequence[str] = ()) -> tuple[list[Labelled], list[str]]:
    """The cases of a label table, and what to know about how it was read.

    Understood are `case_id, patient_id, label, split` and the tables of CLAM (`case_id, slide_id, label`), STAMP
    (`PATIENT, FILENAME`, any label column), MADELEINE (`slide_id` and a column of 0 and 1 per stain) and WSMCL (`id,
    label[, fold]` without a header).

    Args:
        path: CSV, UTF-8.
        label: the column of labels.
        stains: stains that may have a column of 0 and 1, in any case of letters.

    Raises:
        CaseTableError: naming file, line and next step.
    """
    header, rows, notes = _table(path, label)
    case_column = _first(header, CASE)
    if case_column is None:
        raise CaseTableError(
            f"{path.name} line 1: no column is {', '.join(CASE)}. It has {', '.join(header)}. Rename one."
        )
    flags = {name: stain for name in header for stain in stains if name.lower() == stain.lower() and name != label}
    slide_column = _first([name for name in header if name != case_column], SLIDE)
    patient_column = _first(header, PATIENT)
    used = {case_column, slide_column, patient_column, label, "split", "", *flags}
    found: dict[str, Labelled] = {}
    for line, cells in rows:
        row = dict(zip(header, cells, strict=True))
        case_id = row[case_column]
        if not case_id:
            raise CaseTableError(f"{path.name} line {line}: {case_column} is empty. Fill it in.")
        said = Labelled(
            line, case_id, row.get(patient_column or "", "") or case_id, row.get(label, ""), _split(path, line, row),
            stains={stain: _flag(path, line, name, row[name]) for name, stain in flags.items()},
            more={name: row[name] for name in header if name not in used},
        )  # fmt: skip
        entry = found.setdefault(case_id, said)
        _refuse_two(path, entry, said)
        if slide_column is not None and row[slide_column]:
            entry.slides.append(row[slide_column])
    if patient_column is None:
        notes.append(f"{path.name} names no patient: every case counts as its own patient.")
    return list(found.values()), notes


def _table(path: Path, label: str) -> tuple[list[str], list[tuple[int, list[str]]], list[str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        raise CaseTableError(f"{path} cannot be read ({error.strerror}). Name an existing table.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CaseTableError(f"{path} is no CSV in UTF-8 ({error}). Save it as 'CSV UTF-8'.") from error
    notes: list[str] = []
    # Published tables put a notice of one cell above or below the header. A case without a label is no notice.
    notices = [line for line, cells in rows[:2] if " " in cells[0] and not any(cells[1:])]
    if notices:
        notes.append(f"{path.name} line {notices[0]} holds one cell only and is not read.")
        rows = [(line, cells) for line, cells in rows if line not in notices]
    if not rows:
        raise CaseTableError(f"{path.name} is empty. It needs one row per case.")
    header = rows[0][1]
    if not set(header) & {*CASE, label}:
        header = _without_header(path, header, label)
        notes.append(f"{path.name} has no header and is read as {', '.join(header)}.")
    else:
        rows = rows[1:]
    if not rows:
        raise CaseTableError(f"{path.name} has a header but no rows. It needs one row per case.")
    for line, cells in rows:
        if len(cells) != len(header):
            raise CaseTableError(f"{path.name} line {line}: {len(cells)} cells, but the first row has {len(header)}.")
    return header, rows, notes


def _without_header(path: Path, first: list[str], label: str) -> list[str]:
    # With two columns the last is the label. Reading it as the fold has trained models on folds named 0 and 1.
    names = {2: ["id", label], 3: ["id", label, "fold"]}.get(len(first))
    if names is None:
        raise CaseTableError(f"{path.name} has no header and {len(first)} columns. Add a header: case_id, label, ...")
    return names


def _first(header: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in header), None)


def _split(path: Path, line: int, row: dict[str, str]) -> str:
    split = row.get("split", "").lower()
    if split and split not in SPLITS:
        raise CaseTableError(f"{path.name} line {line}: split {row['split']!r} is none of {', '.join(SPLITS)}.")
    return split


def _flag(path: Path, line: int, column: str, cell: str) -> bool:
    try:
        number = float(cell or 0)
    except ValueError:
        number = -1.0
    if number not in (0.0, 1.0):
        raise CaseTableError(f"{path.name} line {line}: {column} is {cell!r}, neither 0 nor 1. Correct it.")
    return number == 1.0


def _refuse_two(path: Path, first: Labelled, second: Labelled) -> None:
    said = [(name, getattr(first, name), getattr(second, name)) for name in ("patient_id", "label", "split")]
    # Other columns may be about the slide; this one decides the label, so a second row may not be overlooked.
    said += [(name, before, second.more[name]) for name, before in first.more.items() if name.lower() == ISH]
    for name, before, now in said:
        if before != now:
            raise CaseTableError(
                f"{path.name} line {second.line}: case {first.case_id} has {name} {now!r}, but {before!r} in line "
                f"{first.line}. Give all rows of a case the same."
            )
