"""`predictions.csv`: read strictly, because a comparison is only as good as the files it stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.runs.files import Lines
from pathfuse.runs.rows import Rows
from pathfuse.system.csv_table import read_csv
from pathfuse.system.reading import read_whole

KEYS = ("case_id", "patient_id", "split", "subset", "target", "predicted", "confidence")
SUM_TOLERANCE = 1e-4  # ours are exact; somebody else may write few digits
AGAIN = "Predict again with `pathfuse test`."


@dataclass(frozen=True)
class SubsetPredictions:
    """The labelled cases of one file that were given one subset of stains.

    Attributes:
        case_ids: the cases.
        patient_ids: their patients.
        parts: `train`, `val` or `test` of every case; empty where it belongs to no part.
        rows: what was predicted.
        learned: whether the confidence was learned.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    parts: tuple[str, ...]
    rows: Rows
    learned: bool

    def of_part(self, part: str) -> SubsetPredictions:
        """Only the cases of a part."""
        return self.take([row for row, own in enumerate(self.parts) if own == part])

    def take(self, keep: Sequence[int]) -> SubsetPredictions:
        """Some of the cases, in this order."""
        return SubsetPredictions(
            tuple(self.case_ids[row] for row in keep),
            tuple(self.patient_ids[row] for row in keep),
            tuple(self.parts[row] for row in keep),
            self.rows.take(np.array(keep, dtype=np.int64)),
            self.learned,
        )

    def joined(self, other: SubsetPredictions) -> SubsetPredictions:
        """The cases of both, one after the other."""
        return SubsetPredictions(
            self.case_ids + other.case_ids,
            self.patient_ids + other.patient_ids,
            self.parts + other.parts,
            Rows.cat(self.rows, other.rows),
            self.learned and other.learned,
        )


@dataclass(frozen=True)
class PredictionFile:
    """One `predictions.csv`.

    Attributes:
        path: the file.
        classes: class names, in the order of the columns.
        subsets: labelled cases by subset of stains, for example `he+ihc`.
        unlabelled: rows without a known label, which no metric can use.
        lines: every row as it stands in the file, with and without a label; none where the file is another tool's.
    """

    path: Path
    classes: tuple[str, ...]
    subsets: Mapping[str, SubsetPredictions]
    unlabelled: int
    lines: Lines = field(default_factory=list)

    def test_cases(self) -> dict[str, SubsetPredictions]:
        """The labelled cases that count, by subset: those of the test part, or all where they belong to no part."""
        found = {}
        for subset, own in self.subsets.items():
            part = own.of_part("test") if any(own.parts) else own
            if part.case_ids:
                found[subset] = part
        return found


def read_predictions(path: Path) -> PredictionFile:
    """Reads and checks a file of predictions that lies by itself; that of a run is `RunFolder.predictions`.

    Raises:
        RunError: naming file, line and what is wrong there.
    """
    try:
        content = read_whole(path)
    except OSError as error:
        raise cannot_be_read(RunError, path, error, AGAIN) from error
    return parse_predictions(content, path)


def parse_predictions(content: bytes, path: Path) -> PredictionFile:
    """Checks the content of a file of predictions.

    Args:
        content: what was read.
        path: where, for messages.

    Raises:
        RunError: naming file, line and what is wrong there.
    """
    header, lines = _lines(content, path)
    classes = tuple(name[2:] for name in header if name.startswith("p_"))
    seen: dict[tuple[str, str], int] = {}
    grouped: dict[str, list[tuple[int, dict[str, str]]]] = {}
    unlabelled = 0
    for number, row in lines:
        before = seen.setdefault((row["subset"], row["case_id"]), number)
        if before != number:
            raise _wrong(path, number, f"case {row['case_id']} with {row['subset']} is already in line {before}")
        grouped.setdefault(row["subset"], [])
        if row["target"]:
            grouped[row["subset"]].append((number, row))
        else:
            unlabelled += 1
    subsets = {name: _subset(path, classes, rows) for name, rows in grouped.items() if rows}
    return PredictionFile(path, classes, subsets, unlabelled, [row for _, row in lines])


def _lines(content: bytes, path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    table = read_csv(path, KEYS, content=content, advice=AGAIN)
    if sum(name.startswith("p_") for name in table.header) < 2:
        raise RunError(f"{path} line 1: two columns p_<class> are missing. {AGAIN}")
    if not len(table):
        raise RunError(f"{path} holds no prediction. {AGAIN}")
    return list(table.header), list(table.numbered())


def _subset(path: Path, classes: tuple[str, ...], lines: list[tuple[int, dict[str, str]]]) -> SubsetPredictions:
    prob = np.array([_distribution(path, number, row, classes) for number, row in lines])
    learned = all(row["confidence"] for _, row in lines)
    sure = [_number(path, n, row, "confidence") for n, row in lines] if learned else prob.max(1).tolist()
    for (number, _), value in zip(lines, sure, strict=True):
        if not 0 <= value <= 1:
            raise _wrong(path, number, f"confidence {value:g} is outside 0 to 1")
    rows = Rows(
        prob,
        np.array([_class(path, number, row, "predicted", classes) for number, row in lines], dtype=np.int64),
        np.array([_class(path, number, row, "target", classes) for number, row in lines], dtype=np.int64),
        np.array(sure),
    )
    cells = [row for _, row in lines]
    return SubsetPredictions(
        tuple(row["case_id"] for row in cells),
        tuple(row["patient_id"] for row in cells),
        tuple(row["split"] for row in cells),
        rows,
        learned,
    )


def _distribution(path: Path, number: int, row: dict[str, str], classes: tuple[str, ...]) -> list[float]:
    values = [_number(path, number, row, f"p_{name}") for name in classes]
    if any(value < 0 for value in values) or abs(sum(values) - 1) > SUM_TOLERANCE:
        raise _wrong(path, number, f"the probabilities of case {row['case_id']} sum to {sum(values):.4f}, not 1")
    return values


def _number(path: Path, number: int, row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise _wrong(path, number, f"{column} of case {row['case_id']} is {row[column]!r}, no finite number")
    return value


def _class(path: Path, number: int, row: dict[str, str], column: str, classes: tuple[str, ...]) -> int:
    if row[column] not in classes:
        raise _wrong(path, number, f"{column} {row[column]!r} is none of {', '.join(classes)}")
    return classes.index(row[column])


def _wrong(path: Path, number: int, what: str) -> RunError:
    return RunError(f"{path} line {number}: {what}. Predict again with `pathfuse test`, and leave the file as it is.")
