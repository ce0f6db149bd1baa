"""Models of one variant as an ensemble: the mean of what its members say about a case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path

import numpy as np
import torch

from pathfuse.errors import RunError
from pathfuse.evaluate.availability import write_availability
from pathfuse.evaluate.calibrate.diagrams import Measured
from pathfuse.evaluate.calibrate.metrics import equivocal_metrics, trust_metrics
from pathfuse.evaluate.metrics.measures import Measures
from pathfuse.evaluate.metrics.resampling import balanced_accuracy_interval
from pathfuse.runs.files import CONFIG, METRICS, PREDICTIONS, VERSIONS, folders_with
from pathfuse.runs.folder import RunFolder
from pathfuse.study.ledger import RUNS

DEPTH = 3
AVERAGED = ("p_", "cal_")
OF_MEMBERS = ("pathfuse", "torch", "lightning", "python", "plugins", "components", "given", "trained_on")
"""What `versions.json` says of an ensemble as of its first member."""


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
    trained = [run for run in runs if RunFolder(run).tested]
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
    return [run for run in _runs_below(folder) if not RunFolder(run).tested]


def _runs_below(folder: Path) -> list[Path]:
    return [] if RunFolder(folder).begun else folders_with(CONFIG, folder, range(1, DEPTH + 1))


def combine(members: Sequence[RunFolder], joint: RunFolder, runs: Sequence[Path]) -> int:
    """Writes the mean of several predictions, case by case, and whose it is; returns how many members each case has.

    Probabilities, calibrated ones and confidence are averaged, and the class with the highest mean is predicted. Sets
    and abstentions of the members make no promise for their mean and are left out.

    Args:
        members: what each member predicted.
        joint: where `predictions.csv` goes.
        runs: the run folders of the members.

    Raises:
        RunError: if the members do not predict the same classes, or contradict each other about a case.
    """
    columns = _shared(members)
    cases: dict[tuple[str, str], _Case] = {}
    for member in members:
        for row in member.predictions.lines:
            case = cases.setdefault((row["subset"], row["case_id"]), _Case(row))
            _same(case.first, row, member.path / PREDICTIONS)
            case.values.append([float(row[name]) for name in columns])
            if row["confidence"]:
                case.confidence.append(float(row["confidence"]))
    counts = {len(case.values) for case in cases.values()}
    if len(counts) > 1:
        raise RunError(
            f"{joint.path}: some cases are predicted by {min(counts)} members, some by {max(counts)}. Finish all folds "
            "first."
        )
    header, *lines = _table(columns, cases)
    joint.write_lines(PREDICTIONS, header, lines)
    same = {key: members[0].versions[key] for key in OF_MEMBERS if key in members[0].versions}
    joint.write_json(VERSIONS, {**same, "members": [str(run) for run in runs]})
    joint.seal_files(PREDICTIONS)
    return counts.pop()


def _shared(members: Sequence[RunFolder]) -> list[str]:
    """The columns to average: the classes, and what all members have of the rest; one may not be calibrated."""
    first = members[0].predictions
    for member in members:
        if member.predictions.classes != first.classes:
            raise RunError(f"{member.path / PREDICTIONS} has other classes than {first.path}. They make no ensemble.")
    own = [[name for name in member.predictions.lines[0] if name.startswith(AVERAGED)] for member in members]
    return [name for name in own[0] if all(name in names for names in own)]


def write_metrics(joint: RunFolder, measures: Measures) -> dict[str, dict[str, float]]:
    """Writes and returns the metrics of the joint predictions, per subset of stains; there are none without labels.

    Args:
        joint: holds the predictions.
        measures: what the recipe of the members measures.
    """
    found = joint.predictions
    result = {}
    for subset, own in found.subsets.items():
        prob, target = torch.from_numpy(own.rows.prob), torch.from_numpy(own.rows.target)
        confidence = torch.from_numpy(own.rows.confidence) if own.learned else None
        metrics = measures.in_test(prob, target, confidence) | measures.beside_ours(prob, target, confidence)
        interval = balanced_accuracy_interval(prob, target, own.patient_ids)
        metrics |= {"balanced_accuracy_low": interval.low, "balanced_accuracy_high": interval.high}
        measured = Measured(own.rows.prob, own.rows.target, own.rows.confidence if own.learned else None, None)
        metrics |= trust_metrics(measured) | equivocal_metrics(measured, found.classes)
        counts = {"n_cases": float(len(own.case_ids)), "n_patients": float(len(set(own.patient_ids)))}
        result[subset] = {f"test/{name}": value for name, value in metrics.items()} | counts
    plain = {
        subset: {key: None if isnan(value) else value for key, value in own.items()} for subset, own in result.items()
    }
    joint.write_json(METRICS, plain)
    write_availability(joint, found.subsets, found.classes)
    return result


def _same(first: dict[str, str], row: dict[str, str], path: Path) -> None:
    for name in ("patient_id", "target"):
        if first[name] != row[name]:
            raise RunError(
                f"{path}: case {row['case_id']} has {name} {row[name]!r}, but {first[name]!r} in another member. "
                "Predict one cohort with all members."
            )


def _table(columns: Sequence[str], cases: dict[tuple[str, str], _Case]) -> Iterator[list[str]]:
    """The header, then the lines of the joint predictions."""
    first = next(iter(cases.values())).first
    present = [name for name in first if name.startswith("present_")]
    plain = [name for name in columns if name.startswith("p_")]
    classes = [name.removeprefix("p_") for name in plain]
    further = [name for name in columns if not name.startswith("p_")]
    keys = ["case_id", "patient_id", "split", "subset", *present, "target"]
    yield [*keys, "predicted", *plain, "confidence", *further]
    # Small subsets first, cases in the order in which they were met: as every predictions.csv.
    order = {subset: position for position, subset in enumerate(dict.fromkeys(subset for subset, _ in cases))}
    for case in sorted(cases.values(), key=lambda case: order[case.first["subset"]]):
        mean = dict(zip(columns, np.mean(case.values, axis=0).tolist(), strict=True))
        best = classes[int(np.argmax([mean[name] for name in plain]))]
        whole = len(case.confidence) == len(case.values)
        confidence = repr(float(np.mean(case.confidence))) if whole else ""
        cells = [repr(float(mean[name])) for name in plain]
        yield [*(case.first[key] for key in keys), best, *cells, confidence, *(repr(float(mean[n])) for n in further)]
