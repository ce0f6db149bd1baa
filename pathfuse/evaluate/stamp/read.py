"""Reads `patient-preds.csv`, in which STAMP writes its predictions of patients."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path

import numpy as np

from pathfuse.errors import RunError
from pathfuse.runs.predictions import SUM_TOLERANCE, PredictionFile, SubsetPredictions
from pathfuse.runs.rows import Rows
from pathfuse.system.csv_table import read_csv_lines, wrong_length

STAMP_PREDICTIONS = "patient-preds.csv"
SPLIT = re.compile(r"split-(\d+)")
NOT_STATED = "not stated"
"""Subset of stains of a file that does not say which it was."""

_Line = tuple[int, list[str]]


def stamp_files(path: Path) -> list[Path]:
    """The files of a STAMP result: the path itself, one in the folder, or one per split, in their order."""
    if path.is_file():
        return [path] if path.name == STAMP_PREDICTIONS else []
    if (path / STAMP_PREDICTIONS).is_file():
        return [path / STAMP_PREDICTIONS]
    splits = {
        int(match[1]): file
        for file in path.glob(f"split-*/{STAMP_PREDICTIONS}")
        if (match := SPLIT.fullmatch(file.parent.name))
    }
    return [splits[number] for number in sorted(splits)]


def read_stamp_predictions(path: Path, *, given: str = "") -> PredictionFile:
    """Reads and checks a file of STAMP: `PATIENT, <label>, pred, <label>_<category>..., loss`.

    A patient is a case here, and belongs to no part: the file holds what was tested. `loss` is not read, because it is
    no cross-entropy of the model.

    Args:
        path: the file.
        given: the subset of stains that the features were made of, which the file does not say.

    Raises:
        RunError: naming file, line and what is wrong there.
    """
    label, classes, lines = _table(path)
    seen: dict[str, int] = {}
    known: list[_Line] = []
    for number, cells in lines:
        patient = cells[0]
        before = seen.setdefault(patient, number)
        if not patient:
            raise _wrong(path, number, "the patient is missing")
        if before != number:
            raise _wrong(path, number, f"patient {patient} is already in line {before}")
        if cells[1]:
            known.append((number, cells))
    patients = tuple(cells[0] for _, cells in known)
    subsets = {}
    if known:
        prob = np.array([_distribution(path, line, label, classes) for line in known])
        rows = Rows(
            prob,
            np.array([_class(path, line, 2, "pred", classes) for line in known], dtype=np.int64),
            np.array([_class(path, line, 1, label, classes) for line in known], dtype=np.int64),
            prob.max(1),
        )
        subsets[given or NOT_STATED] = SubsetPredictions(patients, patients, ("",) * len(known), rows, False)
    return PredictionFile(path, classes, subsets, len(lines) - len(known))


def _table(path: Path) -> tuple[str, tuple[str, ...], list[_Line]]:
    """Name of the label, categories, and the numbered lines."""
    (_, header), *lines = read_csv_lines(path, advice="Copy it from STAMP again.") or [(1, [""])]
    label = header[1] if len(header) > 1 else ""
    columns = header[3:-1]
    if header[2:3] != ["pred"] or header[-1] != "loss":
        lack = "loss" if header[2:3] == ["pred"] else "pred as the third column"
        raise _wrong(path, 1, f"{lack} is missing; expected PATIENT, <label>, pred, <label>_<category>..., loss")
    other = [name for name in columns if not name.startswith(f"{label}_")]
    if other or len(set(columns)) < 2 or len(set(columns)) < len(columns):
        problem = f"column {other[0]} is none of {label}_<category>" if other else f"two columns {label}_<category>"
        lack = "" if other else " are missing, or one is there twice; regression and survival cannot be read"
        raise _wrong(path, 1, problem + lack)
    if not lines:
        raise RunError(f"{path} holds no prediction. Deploy the model of STAMP again.")
    for number, cells in lines:
        if len(cells) != len(header):
            raise _wrong(path, number, wrong_length(cells, header))
    return label, tuple(name.removeprefix(f"{label}_") for name in columns), lines


def _distribution(path: Path, line: _Line, label: str, classes: Sequence[str]) -> list[float]:
    number, cells = line
    values = [_number(cell) for cell in cells[3:-1]]
    for name, value, cell in zip(classes, values, cells[3:-1], strict=True):
        if not isfinite(value):
            raise _wrong(path, number, f"{label}_{name} of patient {cells[0]} is {cell!r}, no finite number")
    if min(values) < 0 or abs(sum(values) - 1) > SUM_TOLERANCE:
        raise _wrong(path, number, f"the probabilities of patient {cells[0]} sum to {sum(values):.4f}, not 1")
    return values


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return nan


def _class(path: Path, line: _Line, column: int, name: str, classes: Sequence[str]) -> int:
    number, cells = line
    if cells[column] not in classes:
        raise _wrong(
            path,
            number,
            f"{name} {cells[column]!r} of patient {cells[0]} is none of the categories {', '.join(classes)}",
        )
    return classes.index(cells[column])


def _wrong(path: Path, number: int, what: str) -> RunError:
    return RunError(f"{path} line {number}: {what}. Copy the file from STAMP again, and leave it as it is.")
