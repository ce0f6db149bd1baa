"""Writes predictions as STAMP does, so that its statistics read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compare.patient_level import by_patient, tested_patients
from pathfuse.evaluate.compare.run import ComparedRun, FoldRun
from pathfuse.evaluate.stamp.read import STAMP_PREDICTIONS, stamp_files
from pathfuse.runs.predictions import SubsetPredictions
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text

PATIENT = "PATIENT"


class Exported(NamedTuple):
    """A file that was written, the model whose predictions it holds, and how many patients they are."""

    path: Path
    fold: str
    patients: int


def export_stamp(run: ComparedRun, out: Path, *, label: str = "label", given: str | None = None) -> list[Exported]:
    """Writes the test patients of a run: `patient-preds.csv`, or one in `split-<i>/` per fold.

    Args:
        run: a run, or the runs of all folds, with one seed.
        out: the folder, in which no result of STAMP may lie already.
        label: name of the label column.
        given: the subset of stains whose predictions are written; None if the run has only one.

    Raises:
        RunError: if there is a result already, folds have the same test patients, or a patient has two labels.
        RecipeError: for a label or a subset that cannot be.
    """
    if run.of_stamp:
        raise RunError(f"{run.path} is a result of STAMP already. Name a run of pathfuse.")
    if not label or label in (PATIENT, "pred", "loss"):
        raise RecipeError(f"--label {label!r} is a column of its own there. Name what was predicted, such as HER2.")
    if there := stamp_files(out):
        raise RunError(f"{there[0]} exists already. Name another folder, or remove it.")
    subset = _subset(run, given)
    tested = [(fold, own) for fold in run.folds if (own := fold.test_cases(subset))]
    _refuse_seeds(run, [fold for fold, _ in tested])
    averaged = [(fold.name, by_patient(own, run.classes, f"{run.name} ({subset})")) for fold, own in tested]
    written = []
    for number, (name, patients) in enumerate(averaged):
        path = out / (f"split-{number}" if len(run.folds) > 1 else "") / STAMP_PREDICTIONS
        write_stamp_predictions(path, patients, run.classes, label=label)
        written.append(Exported(path, name or run.name, len(patients.case_ids)))
    return written


def write_stamp_predictions(path: Path, own: SubsetPredictions, classes: Sequence[str], *, label: str) -> None:
    """Writes one file: a line per patient, the surest right one first.

    `loss` is what STAMP writes there, cross-entropy applied to probabilities as if they were logits. Its table is
    sorted by it, and nothing else should be done with it.
    """
    prob, target = own.rows.prob, own.rows.target
    loss = np.log(np.exp(prob).sum(1)) - prob[np.arange(len(target)), target]
    with atomic_text(path) as file:
        table = CsvWriter(file, lineterminator="\n")
        table.writerow([PATIENT, label, "pred", *(f"{label}_{name}" for name in classes), "loss"])
        for row in np.lexsort((np.asarray(own.case_ids), loss)):
            table.writerow(
                [own.case_ids[row], classes[target[row]], classes[own.rows.predicted[row]]]
                + [repr(value) for value in prob[row].tolist()]
                + [repr(float(loss[row]))]
            )


def _subset(run: ComparedRun, given: str | None) -> str:
    known = run.subsets
    if given is None and len(known) == 1:
        return known[0]
    if given not in known:
        problem = "several" if given is None else f"no predictions with {given}, but these"
        raise RecipeError(f"{run.path} has {problem}: {', '.join(known)}. Say with --given which are written.")
    return given


def _refuse_seeds(run: ComparedRun, folds: Sequence[FoldRun]) -> None:
    seen: dict[frozenset[str], str] = {}
    for fold in folds:
        before = seen.setdefault(tested_patients(fold), fold.name)
        if before != fold.name:
            raise RunError(
                f"{run.path}: {before} and {fold.name} test the same patients. STAMP would count two seeds as two "
                "folds; name the folder of one seed."
            )
