"""Splits of CLAM (and MCAT, PORPOISE, SurvPath, which share its layout) and of STAMP, read and written."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pathfuse.cohort.folds.check import by_place
from pathfuse.cohort.folds.draw import Splits, with_validation
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.table import PARTS, Case
from pathfuse.errors import CaseTableError
from pathfuse.system.csv_table import read_csv
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_json

Ids = Literal["case", "slide"]
_CLAM = re.compile(r"splits_(\d+)\.csv")
STAMP = "splits.json"


def read_clam(
    folder: Path, cases: Sequence[Case], *, val_as: Literal["", "test"] = "", val_fraction: float = 0.2, seed: int = 0
) -> Splits:
    """Reads `splits_<k>.csv`: columns train, val and test with ids of cases, slides (file stems) or patients.

    Args:
        folder: where the files are.
        cases: the cohort.
        val_as: `test` takes column val as the test part of files that have no test column, and draws a validation
            part from training; empty refuses such files.
        val_fraction: share of the training part that is drawn then.
        seed: of that draw.

    Raises:
        CaseTableError: if a file cannot be read, or an id belongs to no case.
    """
    files = sorted((int(match[1]), path) for path in folder.iterdir() if (match := _CLAM.fullmatch(path.name)))
    if not files:
        raise CaseTableError(f"{folder} has no splits_0.csv. Name the folder that CLAM wrote its splits to.")
    named = _by_name(cases)
    rows: list[FoldRow] = []
    notes: list[str] = []
    for fold, path in files:
        ids = _clam_columns(path)
        own = _fold_rows(path.name, fold, ids, named)
        if not ids["test"]:
            if val_as != "test":
                raise CaseTableError(
                    f"{path.name} has no test column: val would choose the checkpoint and be reported. With --val_as "
                    "test it is the test part, and a validation part is drawn from training."
                )
            own = [row._replace(part="test") if row.part == "val" else row for row in own]
            own = with_validation(own, cases, val_fraction=val_fraction, seed=seed)
            notes.append(f"{path.name}: val is the test part; a validation part is drawn from training, seed {seed}.")
        rows += own
    return Splits(tuple(rows), tuple(notes))


def write_clam(folder: Path, rows: Sequence[FoldRow], cases: Sequence[Case], *, ids: Ids = "case") -> list[Path]:
    """Writes `splits_<k>.csv`, `_bool.csv` and `_descriptor.csv` per split; k counts over repeats and folds.

    Args:
        folder: made if it is not there.
        rows: the splits; nested ones have no form here.
        cases: the cohort.
        ids: `case` writes case ids, `slide` the file names without ending, which CLAM calls slide ids.

    Raises:
        CaseTableError: for nested splits, or if two cases share a slide id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = _names(cases, ids)
    labels = {case.case_id: case.label for case in cases}
    classes = sorted({label for label in labels.values() if label})
    written = []
    for fold, own in enumerate(_flat(rows).values()):
        parts = {p: [name for row in own if row.part == p for name in names[row.case_id]] for p in PARTS}
        counts = Counter((labels[row.case_id], row.part) for row in own)
        length = max(map(len, parts.values()))
        ragged = [[str(k), *(parts[p][k] if k < len(parts[p]) else "" for p in PARTS)] for k in range(length)]
        flags = [[name, *(str(p == part) for p in PARTS)] for part in PARTS for name in parts[part]]
        sizes = [[name, *(str(counts[name, p]) for p in PARTS)] for name in classes]
        for suffix, table in (("", ragged), ("_bool", flags), ("_descriptor", sizes)):
            path = folder / f"splits_{fold}{suffix}.csv"
            write_text(path, _csv([["", *PARTS], *table]))
            written.append(path)
    return written


def read_stamp(path: Path, cases: Sequence[Case], *, val_fraction: float = 0.2, seed: int = 0) -> Splits:
    """Reads `splits.json`, which names training and test patients; a validation part is drawn from training.

    Args:
        path: the file.
        cases: the cohort.
        val_fraction: share of the training part that becomes validation.
        seed: of that draw.

    Raises:
        CaseTableError: if the file cannot be read, or a patient is not in the cohort.
    """
    try:
        splits = read_json(path)["splits"]
        ids = [{"train": list(one["train_patients"]), "val": [], "test": list(one["test_patients"])} for one in splits]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CaseTableError(f"{path.name} is no splits file of STAMP ({error!r}). Name its splits.json.") from error
    patients: dict[str, list[Case]] = {}
    for case in cases:
        patients.setdefault(case.patient_id, []).append(case)
    rows: list[FoldRow] = []
    for fold, own in enumerate(ids):
        found = _fold_rows(f"{path.name}, split {fold}", fold, own, patients)
        rows += with_validation(found, cases, val_fraction=val_fraction, seed=seed)
    note = f"{path.name} names no validation patients: they are drawn from training, seed {seed}."
    return Splits(tuple(rows), (note,))


def write_stamp(path: Path, rows: Sequence[FoldRow]) -> list[Path]:
    """Writes `splits.json`; validation patients go to training, because STAMP draws its own.

    Raises:
        CaseTableError: for nested splits.
    """
    splits = [
        {
            "train_patients": sorted({row.patient_id for row in own if row.part != "test"}),
            "test_patients": sorted({row.patient_id for row in own if row.part == "test"}),
        }
        for own in _flat(rows).values()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"splits": splits}, indent=2) + "\n")
    return [path]


def _clam_columns(path: Path) -> dict[str, list[str]]:
    advice = "A file of CLAM has the columns train, val and test; write the splits again."
    table = read_csv(path, ("train", "val"), strip=True, error=CaseTableError, advice=advice)
    return {part: [cell for line in table if (cell := line.get(part, ""))] for part in PARTS}


def _fold_rows(
    name: str, fold: int, ids: Mapping[str, Sequence[str]], named: Mapping[str, Sequence[Case]]
) -> list[FoldRow]:
    rows: dict[tuple[str, str], FoldRow] = {}
    for part in PARTS:
        for one in ids[part]:
            if one not in named:
                raise CaseTableError(
                    f"{name}: {one!r} in {part} is no case, slide or patient of the case table. Read it beside the "
                    "table that it was made for."
                )
            for case in named[one]:
                # Several slides of a case name it several times, which is no contradiction within a part.
                rows[case.case_id, part] = FoldRow(0, fold, case.case_id, case.patient_id, part)
    return list(rows.values())


def _by_name(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases by everything that a foreign file may call them; a case id wins over a slide, a slide over a patient."""
    slides: dict[str, list[Case]] = {}
    patients: dict[str, list[Case]] = {}
    for case in cases:
        patients.setdefault(case.patient_id, []).append(case)
        for stem in {file.path.stem for files in case.files.values() for file in files}:
            slides.setdefault(stem, []).append(case)
    return {**patients, **slides, **{case.case_id: [case] for case in cases}}


def _names(cases: Sequence[Case], ids: Ids) -> dict[str, list[str]]:
    if ids == "case":
        return {case.case_id: [case.case_id] for case in cases}
    names = {
        case.case_id: sorted({file.path.stem for files in case.files.values() for file in files}) for case in cases
    }
    owner: dict[str, str] = {}
    for case_id, stems in names.items():
        for stem in stems:
            if owner.setdefault(stem, case_id) != case_id:
                raise CaseTableError(
                    f"cases {owner[stem]} and {case_id} both have a file called {stem}, so it is no slide id. Write "
                    "case ids."
                )
    return names


def _flat(rows: Sequence[FoldRow]) -> dict[tuple[int, int, int], list[FoldRow]]:
    if any(row.inner for row in rows):
        raise CaseTableError("nested splits have no form in CLAM or STAMP. Write them in the format of pathfuse.")
    return by_place(rows)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    CsvWriter(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
