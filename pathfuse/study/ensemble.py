"""Models of one variant as an ensemble: the mean of what its members say about a case."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.diagrams import Measured
from pathfuse.evaluate.calibrate.metrics import equivocal_metrics, trust_metrics
from pathfuse.evaluate.metrics.bootstrap import balanced_accuracy_interval
from pathfuse.evaluate.metrics.metrics import classification_metrics
from pathfuse.runs.predictions import PREDICTIONS, read_predictions
from pathfuse.study.ledger import RUNS
from pathfuse.system.files import write_text

CONFIG = "config.yaml"
MEMBERS = "members"
DEPTH = 3
AVERAGED = ("p_", "cal_")


@dataclass
class _Case:
    """The lines of one case and subset of stains; `first` is that of the first member."""

    first: dict[str, str]
    values: list[list[float]] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)


def members_of(folder: Path) -> dict[str, list[Path]]:
    """The trained runs below a folder, by variant; a folder that is no study is one variant, called after it.

    Args:
        folder: of a study, of one of its variants, or of the folds of a cross-validation.

    Returns:
        Nothing where the folder is a run itself, or holds none.
    """
    runs = _runs_below(folder)
    if not runs:
        return {}
    trained = [run for run in runs if (run / PREDICTIONS).is_file()]
    if not trained:
        raise RunError(f"{folder} has {len(runs)} runs, none of which is finished. Finish one first.")
    if not (folder / RUNS).is_file():
        return {folder.resolve().name: trained}
    found: dict[str, list[Path]] = {}
    for run in trained:
        found.setdefault(run.relative_to(folder).parts[0], []).append(run)
    return found


def unfinished_in(folder: Path) -> list[Path]:
    """The runs below a folder that were begun and are no members, because they are not finished."""
    return [run for run in _runs_below(folder) if not (run / PREDICTIONS).is_file()]


def _runs_below(folder: Path) -> list[Path]:
    """The runs at the shallowest level that has some; none where the folder is a run itself."""
    if (folder / CONFIG).is_file():
        return []
    levels = ("/".join(["*"] * depth + [CONFIG]) for depth in range(1, DEPTH + 1))
    return next((sorted(path.parent for path in found) for level in levels if (found := list(folder.glob(level)))), [])


def combine(folders: Sequence[Path], out: Path) -> int:
    """Writes the mean of several `predictions.csv`, case by case, and returns how many members each case has.

    Probabilities, calibrated ones and confidence are averaged, and the class with the highest mean is predicted. Sets
    and abstentions of the members make no promise for their mean and are left out.

    Args:
        folders: of the members' predictions.
        out: where `predictions.csv` goes.

    Raises:
        RunError: if the members do not predict the same classes, or contradict each other about a case.
    """
    paths = [folder / PREDICTIONS for folder in folders]
    columns = _shared(paths)
    cases: dict[tuple[str, str], _Case] = {}
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                case = cases.setdefault((row["subset"], row["case_id"]), _Case(row))
                _same(case.first, row, path)
                case.values.append([float(row[name]) for name in columns])
                if row["confidence"]:
                    case.confidence.append(float(row["confidence"]))
    counts = {len(case.values) for case in cases.values()}
    if len(counts) > 1:
        raise RunError(
            f"{out}: some cases are predicted by {min(counts)} members, some by {max(counts)}. Finish all folds first."
        )
    write_text(out / PREDICTIONS, _text(columns, cases))
    return counts.pop()


def _shared(paths: Sequence[Path]) -> list[str]:
    """The columns to average: the classes, and what all members have of the rest; one may not be calibrated."""
    own = []
    for path in paths:
        read_predictions(path)  # refuses whatever is wrong in it
        with path.open(encoding="utf-8", newline="") as file:
            own.append([name for name in next(csv.reader(file)) if name.startswith(AVERAGED)])
        if _classes(own[0]) != _classes(own[-1]):
            raise RunError(f"{path} has other classes than {paths[0]}. They make no ensemble.")
    return [name for name in own[0] if all(name in names for names in own)]


def _classes(columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name.startswith("p_")]


def seal(out: Path, members: Sequence[Path]) -> None:
    """Writes whose mean the predictions are, and their hash."""
    digest = hashlib.sha256((out / PREDICTIONS).read_bytes()).hexdigest()
    content = {"members": [str(member) for member in members], "predictions_sha256": digest}
    write_text(out / "versions.json", json.dumps(content, indent=2) + "\n")


def ensemble_metrics(out: Path) -> dict[str, dict[str, float]]:
    """The metrics of `predictions.csv`, per subset of stains; empty without labels."""
    found = read_predictions(out / PREDICTIONS)
    result = {}
    for subset, own in found.subsets.items():
        prob, target = torch.from_numpy(own.rows.prob), torch.from_numpy(own.rows.target)
        confidence = torch.from_numpy(own.rows.confidence) if own.learned else None
        metrics = classification_metrics(prob, target, confidence, found.classes)
        interval = balanced_accuracy_interval(prob, target, own.patient_ids)
        metrics |= {"balanced_accuracy_low": interval.low, "balanced_accuracy_high": interval.high}
        measured = Measured(own.rows.prob, own.rows.target, own.rows.confidence if own.learned else None, None)
        metrics |= trust_metrics(measured) | equivocal_metrics(measured, found.classes)
        counts = {"n_cases": float(len(own.case_ids)), "n_patients": float(len(set(own.patient_ids)))}
        result[subset] = {f"test/{name}": value for name, value in metrics.items()} | counts
    return result


def _same(first: dict[str, str], row: dict[str, str], path: Path) -> None:
    for name in ("patient_id", "target"):
        if first[name] != row[name]:
            raise RunError(
                f"{path}: case {row['case_id']} has {name} {row[name]!r}, but {first[name]!r} in another member. "
                "Predict one cohort with all members."
            )


def _text(columns: Sequence[str], cases: dict[tuple[str, str], _Case]) -> str:
    first = next(iter(cases.values())).first
    present = [name for name in first if name.startswith("present_")]
    classes = [name.removeprefix("p_") for name in columns if name.startswith("p_")]
    plain = [name for name in columns if name.startswith("p_")]
    further = [name for name in columns if not name.startswith("p_")]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    keys = ["case_id", "patient_id", "split", "subset", *present, "target"]
    table.writerow([*keys, "predicted", *plain, "confidence", *further])
    # Small subsets first, cases in the order in which they were met: as every predictions.csv.
    order = {subset: position for position, subset in enumerate(dict.fromkeys(subset for subset, _ in cases))}
    for case in sorted(cases.values(), key=lambda case: order[case.first["subset"]]):
        mean = dict(zip(columns, np.mean(case.values, axis=0).tolist(), strict=True))
        best = classes[int(np.argmax([mean[name] for name in plain]))]
        whole = len(case.confidence) == len(case.values)
        confidence = repr(float(np.mean(case.confidence))) if whole else ""
        cells = [repr(float(mean[name])) for name in plain]
        table.writerow(
            [*(case.first[key] for key in keys), best, *cells, confidence, *(repr(float(mean[n])) for n in further)]
        )
    return text.getvalue()
