"""Runs beside results of STAMP, which predicts patients: everything is brought to one prediction per patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compare.run import ComparedRun, FoldRun
from pathfuse.evaluate.stamp.read import NOT_STATED
from pathfuse.runs.predictions import PredictionFile, SubsetPredictions
from pathfuse.runs.rows import Rows


def at_patient_level(runs: Sequence[ComparedRun]) -> tuple[list[ComparedRun], list[str]]:
    """The runs as they are, unless one is of STAMP: then the cases of each patient are averaged in all of them.

    The folds of STAMP are found by their test patients and take the names of ours.

    Returns:
        The runs, and what to know about them.

    Raises:
        RunError: if a patient has two labels, or the folds have other test patients.
        RecipeError: if no run was tested with what STAMP is said to have been given.
    """
    if not any(run.of_stamp for run in runs):
        return list(runs), []
    reference = next((run for run in runs if not run.of_stamp), runs[0])
    notes, found = [], []
    for run in runs:
        averaged, cases, patients = _averaged(run)
        if cases > patients:
            notes.append(
                f"{run.name}: the probabilities of {cases} tested cases are averaged to those of {patients} patients, "
                "because STAMP predicts patients."
            )
        found.append(averaged)
    target = next(run for run in found if run.name == reference.name)
    found = [_aligned(target, run) if run.of_stamp and run is not target else run for run in found]
    notes += [note for run in found if run.of_stamp for note in _reservations(run)]
    return found, notes


def by_patient(own: SubsetPredictions, classes: Sequence[str], what: str) -> SubsetPredictions:
    """The mean of the probabilities of each patient's cases, patients sorted; a single case stays as it is.

    Args:
        own: predictions of cases.
        classes: class names, for the error.
        what: whose they are, for the error.

    Raises:
        RunError: if two cases of a patient have different labels.
    """
    members: dict[str, list[int]] = {}
    for row, patient in enumerate(own.patient_ids):
        members.setdefault(patient, []).append(row)
    patients = sorted(members)
    for patient in patients:
        first, *others = members[patient]
        for row in others:
            if own.rows.target[row] != own.rows.target[first]:
                raise RunError(
                    f"{what}: patient {patient} is {classes[own.rows.target[first]]} in case {own.case_ids[first]} and "
                    f"{classes[own.rows.target[row]]} in case {own.case_ids[row]}, so the patient has no one label. "
                    "STAMP knows patients only; test on cases of one label per patient."
                )
    prob = np.stack([own.rows.prob[members[patient]].mean(0) for patient in patients])
    first_rows = np.array([members[patient][0] for patient in patients], dtype=np.int64)
    alone = np.array([len(members[patient]) == 1 for patient in patients])
    learned = np.array([own.rows.confidence[members[patient]].mean() for patient in patients])
    rows = Rows(
        prob,
        np.where(alone, own.rows.predicted[first_rows], prob.argmax(1)).astype(np.int64),
        own.rows.target[first_rows],
        learned if own.learned else prob.max(1),
    )
    parts = tuple(own.parts[row] for row in first_rows)
    return SubsetPredictions(tuple(patients), tuple(patients), parts, rows, own.learned)


def tested_patients(fold: FoldRun) -> frozenset[str]:
    """Patients with a labelled test case, whatever stains it was given."""
    tested = [fold.test_cases(subset) for subset in fold.predictions.subsets]
    return frozenset(patient for own in tested if own for patient in own.patient_ids)


def _averaged(run: ComparedRun) -> tuple[ComparedRun, int, int]:
    """The run with a case per patient, the most cases that a subset of stains had, and their patients."""
    folds, most, patients = [], 0, 0
    for fold in run.folds:
        tested = {name: own for name in fold.predictions.subsets if (own := fold.test_cases(name))}
        place = f"{run.name}{f' in {fold.name}' if fold.name else ''}"
        subsets = {name: by_patient(own, run.classes, f"{place} ({name})") for name, own in tested.items()}
        fullest = max(tested, key=lambda name: len(tested[name].case_ids), default=None)
        if fullest is not None:
            most += len(tested[fullest].case_ids)
            patients += len(subsets[fullest].case_ids)
        folds.append(replace(fold, predictions=replace(fold.predictions, subsets=subsets)))
    return replace(run, folds=tuple(folds)), most, patients


def _aligned(reference: ComparedRun, run: ComparedRun) -> ComparedRun:
    """A result of STAMP with the class order and the folds of the reference."""
    (given,) = run.subsets
    if given != NOT_STATED and given not in reference.subsets:
        raise RecipeError(f"--given {given}: {reference.name} was tested with {', '.join(reference.subsets)}.")
    if set(run.classes) == set(reference.classes):
        files = [_reordered(fold.predictions, reference.classes) for fold in run.folds]
        run = replace(run, folds=tuple(replace(f, predictions=p) for f, p in zip(run.folds, files, strict=True)))
    if len(run.folds) == len(reference.folds) == 1:
        return run
    left = list(run.folds)
    folds = []
    for fold in reference.folds:
        same = [own for own in left if tested_patients(own) == tested_patients(fold)]
        if not same:
            raise RunError(
                f"{reference.name} and {run.name} consist of different folds: no split of {run.name} is left that "
                f"tests the patients of {fold.name or reference.name}. Give STAMP the splits.json that `pathfuse data "
                "split --format stamp` writes, and name the folder of one seed."
            )
        left.remove(same[0])
        folds.append(replace(same[0], name=fold.name))
    if left:
        raise RunError(
            f"{reference.name} and {run.name} consist of different folds: {left[0].name or run.name} tests patients of "
            f"no fold of {reference.name}. Finish all folds."
        )
    return replace(run, folds=tuple(folds))


def _reordered(file: PredictionFile, classes: tuple[str, ...]) -> PredictionFile:
    place = np.array([file.classes.index(name) for name in classes])
    index = np.argsort(place)  # of a class in the new order, by its index in the old one
    subsets = {}
    for name, own in file.subsets.items():
        rows = replace(
            own.rows,
            prob=own.rows.prob[:, place],
            predicted=index[own.rows.predicted],
            target=index[own.rows.target],
        )
        subsets[name] = replace(own, rows=rows)
    return replace(file, classes=classes, subsets=subsets)


def _reservations(run: ComparedRun) -> list[str]:
    notes = [
        f"{run.name} is a result of STAMP, whose files do not say who trained and who selected: that its split is that "
        "of the other runs is not checked, beyond equal test patients."
    ]
    if len(run.folds) > 1:
        notes.append(
            f"{run.name}: some versions of STAMP choose the model of a fold on the test patients of that fold, which "
            "favours it; the files do not say."
        )
    return notes
