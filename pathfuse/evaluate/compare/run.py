"""Runs as a comparison reads them: test predictions, split, and the folds that they consist of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pathfuse.core.subsets import Shown
from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compare.scored import FoldRows, Scored
from pathfuse.evaluate.stamp.read import read_stamp_predictions, stamp_files
from pathfuse.runs.files import PREDICTIONS, SPLITS, TextFiles, folders_with
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import PredictionFile, SubsetPredictions
from pathfuse.runs.rows import Index, Rows

DEPTH = 3  # folders between a cross-validated run and the runs of its folds
PARTS = ("train", "val", "test")
RUNS = "runs.csv"  # of a study
SAME_PATIENTS = "same patients"
"""Name of the subset in which the combinations of stains of one run are compared."""


@dataclass(frozen=True)
class FoldRun:
    """One trained and tested model.

    Attributes:
        name: the folder below the run; empty for a run that is one model.
        predictions: its predictions.
        parts: case to part, as in `splits.csv`; empty without that file.
        split_hash: `split_sha256` of `versions.json`; empty without it.
        shown: what it was given in training.
    """

    name: str
    predictions: PredictionFile
    parts: Mapping[str, str]
    split_hash: str
    shown: Shown = field(default_factory=Shown)

    def test_cases(self, subset: str) -> SubsetPredictions | None:
        """The cases that count: the test part, or all where the cases belong to no part."""
        return self.predictions.test_cases().get(subset)


@dataclass(frozen=True)
class ComparedRun:
    """A run, or all fold models of a cross-validation.

    Attributes:
        name: what tables call it.
        path: its folder.
        folds: its models, in the order of their names.
        of_stamp: whether it is a result of STAMP, which predicts patients and says nothing about its split.
    """

    name: str
    path: Path
    folds: tuple[FoldRun, ...]
    of_stamp: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.folds[0].predictions.classes

    @property
    def shown(self) -> Shown:
        """What its models were given in training."""
        return self.folds[0].shown

    @property
    def subsets(self) -> list[str]:
        """Subsets of stains that some test case was given, in the order of the file."""
        names = [name for fold in self.folds for name in fold.predictions.test_cases()]
        return list(dict.fromkeys(names))

    def scored(self, subset: str) -> Scored:
        """The test cases of a subset over all folds; every case must be predicted equally often.

        Raises:
            RunError: if it is not.
        """
        tested = [(fold.name, own) for fold in self.folds if (own := fold.test_cases(subset))]
        return _joined(f"{self.name} ({subset})", tested, cross_validated=len(self.folds) > 1)


def read_runs(paths: Sequence[Path], *, given: str | None = None) -> list[ComparedRun]:
    """Reads runs and names them after their folders, with as much of the path as tells them apart.

    Args:
        paths: folders of runs or of STAMP's results, or a `patient-preds.csv`.
        given: the subset of stains behind STAMP's results, whose files do not say it.

    Raises:
        RunError: if a run lacks predictions, was edited, or is named twice.
        RecipeError: if `given` is said and no result is of STAMP.
    """
    paths = [own for path in paths for own in _variants(path)]
    places = [(path.parent if path.is_file() else path).resolve() for path in paths]
    twice = [path for path in paths if places.count(path.resolve()) > 1]
    if twice:
        raise RunError(f"{twice[0]} is named twice. Name each run once.")
    runs = [_read(path, name, given or "") for path, name in zip(paths, _names(places), strict=True)]
    if given and not any(run.of_stamp for run in runs):
        raise RecipeError(f"--given {given} is about results of STAMP, and none is named.")
    return runs


def subsets_as_runs(run: ComparedRun, *, all_subsets: bool = False) -> list[ComparedRun]:
    """One run per combination of stains that a run can be asked from, called after the combination.

    Args:
        run: the run.
        all_subsets: also those that the model was never trained to be given.

    Raises:
        RunError: if there is but one.
    """
    names = run.subsets if all_subsets else run.shown.trained(run.subsets)
    if len(names) < 2:
        raise RunError(
            f"{run.name} is asked from {names[0]} alone, so there is nothing to compare. Name another run, or train "
            "one that is given several stains (--model.modality_dropout)."
        )
    found = []
    for name in names:
        folds = [
            replace(fold, shown=Shown(), predictions=replace(fold.predictions, subsets={SAME_PATIENTS: own}))
            for fold in run.folds
            if (own := fold.predictions.subsets.get(name))
        ]
        found.append(replace(run, name=name, folds=tuple(folds)))
    return found


def _variants(path: Path) -> list[Path]:
    """The folders of the variants of a study; of anything else, itself."""
    rows = TextFiles(path).lines(RUNS) if (path / RUNS).is_file() else []
    return [path / name for name in dict.fromkeys(row.get("variant", "") for row in rows)] or [path]


def _read(path: Path, name: str, given: str) -> ComparedRun:
    if not path.is_dir() and not stamp_files(path):
        raise RunError(f"{path} is no folder. Name the folder of a run.")
    folders = folders_with(PREDICTIONS, path, range(DEPTH + 1))
    foreign = [] if folders else stamp_files(path)
    if not folders and not foreign:
        raise RunError(f"{path} has no {PREDICTIONS}. Make it with `pathfuse test {path}`.")
    folds = [_fold(path, folder) for folder in folders] or [_split(path, file, given) for file in foreign]
    run = ComparedRun(name, path, tuple(folds), of_stamp=not folders)
    for fold in run.folds:
        if fold.predictions.classes != run.classes:
            raise RunError(
                f"{fold.predictions.path} has the classes {', '.join(fold.predictions.classes)}, but "
                f"{run.folds[0].predictions.path} {', '.join(run.classes)}. Compare one task at a time."
            )
    if not run.subsets and run.of_stamp:
        raise RunError(
            f"{path} names the label of no patient, so nothing can be compared. Deploy with a clinical table."
        )
    if not run.subsets:
        raise RunError(
            f"{path} has no prediction of a labelled test case, so nothing can be compared. Test it with "
            f"`pathfuse test {path}`."
        )
    return run


def _fold(run: Path, folder: Path) -> FoldRun:
    own = RunFolder(folder)
    return FoldRun(
        "" if folder == run else folder.relative_to(run).as_posix(),
        own.predictions,
        _parts(own),
        str(own.versions.get("split_sha256", "")),
        own.shown,
    )


def _split(run: Path, file: Path, given: str) -> FoldRun:
    name = "" if run in (file, file.parent) else file.parent.name
    return FoldRun(name, read_stamp_predictions(file, given=given), {}, "")


def _parts(run: RunFolder) -> dict[str, str]:
    rows = run.splits
    for number, row in enumerate(rows, 2):
        if not row.get("case_id") or row.get("split") not in PARTS:
            place = f"{run.path / SPLITS} line {number}"
            raise RunError(f"{place}: expected a case_id and one of {', '.join(PARTS)}. Restore the file.")
    return {row["case_id"]: row["split"] for row in rows}


def _names(places: Sequence[Path]) -> list[str]:
    for depth in range(1, max((len(place.parts) for place in places), default=0) + 1):
        names = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]


def _joined(what: str, tested: Sequence[tuple[str, SubsetPredictions]], *, cross_validated: bool) -> Scored:
    where: dict[str, list[tuple[int, int]]] = {}
    patients: dict[str, str] = {}
    for fold, (_, own) in enumerate(tested):
        for row, (case, patient) in enumerate(zip(own.case_ids, own.patient_ids, strict=True)):
            where.setdefault(case, []).append((fold, row))
            if patients.setdefault(case, patient) != patient:
                raise RunError(
                    f"{what}: case {case} belongs to patient {patients[case]} and to {patient}. Check folds."
                )
    cases = sorted(where)
    times = {case: len(where[case]) for case in cases}
    often, seldom = max(cases, key=lambda case: times[case]), min(cases, key=lambda case: times[case])
    if times[often] != times[seldom]:
        raise RunError(
            f"{what}: case {often} was tested {times[often]} times, but case {seldom} {times[seldom]} times. Finish "
            "all folds, and compare only runs in which every case is tested equally often."
        )
    starts = np.cumsum([0, *(len(own.case_ids) for _, own in tested)])
    stacked = tested[0][1].rows
    for _, own in tested[1:]:
        stacked = Rows.cat(stacked, own.rows)
    passes = tuple(
        stacked.take(np.array([starts[where[case][turn][0]] + where[case][turn][1] for case in cases], dtype=np.int64))
        for turn in range(times[often])
    )
    folds = tuple(_folds(tested)) if cross_validated else ()
    owners = tuple(patients[case] for case in cases)
    return Scored(tuple(cases), owners, passes, folds, all(own.learned for _, own in tested))


def _folds(tested: Sequence[tuple[str, SubsetPredictions]]) -> Iterator[FoldRows]:
    """Every model's cases under the name of the fold; models of several seeds that test the same cases share it."""
    names: dict[frozenset[str], str] = {}
    for name, own in tested:
        order = _sorted(own)
        cases = tuple(own.case_ids[row] for row in order)
        yield FoldRows(names.setdefault(frozenset(cases), name), own.rows.take(order), cases)


def _sorted(own: SubsetPredictions) -> Index:
    return np.argsort(np.asarray(own.case_ids, dtype=str), kind="stable").astype(np.int64)
