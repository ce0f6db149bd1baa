"""The folds of a study: read or drawn, kept in its folder, and the places where its variants are trained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.cohort.folds.check import check_folds
from pathfuse.cohort.folds.draw import Splits, draw_folds
from pathfuse.cohort.folds.file import FoldRow, folds_text, read_folds
from pathfuse.cohort.folds.leave_out import leave_out
from pathfuse.cohort.folds.near_notes import near_notes
from pathfuse.cohort.table import Case
from pathfuse.errors import RecipeError, RunError
from pathfuse.study.definition.study import DrawnSplits, Study
from pathfuse.study.jobs import Place, cohort_places, fold_places
from pathfuse.study.prepare import Variants
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_whole_text

SPLITS = "splits.csv"


@dataclass(frozen=True)
class FoldFile:
    """The folds of a study.

    Attributes:
        rows: every case in every split.
        text: the content of the file.
        notes: what should be known about them.
    """

    rows: tuple[FoldRow, ...]
    text: str
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def places(self) -> list[tuple[int, int]]:
        """Repeat and fold of every split."""
        return sorted({(row.repeat, row.fold) for row in self.rows})


def make_splits(study: Study, cases: Sequence[Case]) -> FoldFile | None:
    """Reads the folds of a study, or draws them for its cases; None where these come with their parts.

    What is drawn are the patients with a label. The others are in the training part of every fold: nothing could be
    said about them in another.

    Raises:
        CaseTableError: if they do not fit the cases, or cannot be drawn.
    """
    if study.splits is None:
        _refuse_without_parts(study, cases)
        return None
    if isinstance(study.splits, DrawnSplits):
        own = study.splits
        known = {case.patient_id for case in cases if case.label}
        bare = [case for case in cases if case.patient_id not in known] if known else []
        folds = _drawn(own, [case for case in cases if case.patient_id in known] if bare else cases)
        rows = (*folds.rows, *_in_training(bare, folds.rows))
        notes = folds.notes
        if bare:
            patients = len({case.patient_id for case in bare})
            notes += (f"{patients} patients without a label are in the training part of every fold",)
        return FoldFile(rows, folds_text(rows), notes)
    rows = tuple(read_folds(study.splits))
    if any(row.inner for row in rows):
        raise RunError(f"{study.splits} has inner folds, which a study does not train. Draw it without --nested.")
    known = {case.case_id for case in cases}
    used = [row for row in rows if row.case_id in known]
    return FoldFile(rows, read_whole_text(study.splits), tuple(check_folds(used, cases)))


def _drawn(own: DrawnSplits, cases: Sequence[Case]) -> Splits:
    if own.leave_out:
        return leave_out(cases, own.leave_out, val_fraction=own.val_fraction, seed=own.seed)
    return draw_folds(
        cases,
        folds=own.folds,
        repeats=own.repeats,
        seed=own.seed,
        val_fraction=own.val_fraction,
        group=own.group,
        site=own.site,
        stratify=own.stratify,
    )


def places_of(study: Study, folds: FoldFile | None, splits: Path, cohorts: Mapping[str, str]) -> list[Place]:
    """Where every variant is trained.

    Args:
        study: the study.
        folds: its folds; None where the cohorts come with their parts.
        splits: the file of folds, in the folder of the study.
        cohorts: per cohort, the fingerprint of its cases.
    """
    if folds is None:
        return cohort_places(study.cohorts, cohorts)
    return fold_places(folds.places, splits, folds.sha256)


def keep_splits(out: Path, folds: FoldFile) -> Path:
    """Writes the folds to the folder of the study.

    Raises:
        RunError: if the folder holds other folds already.
    """
    path = out / SPLITS
    if path.is_file() and read_whole_text(path) != folds.text:
        raise RunError(f"{path} holds other folds than this study's. Choose another --out, or restore the splits.")
    if not path.is_file():
        write_text(path, folds.text)
    return path


def near_across_parts(found: Variants, folds: FoldFile | None) -> list[str]:
    """A line per cohort that has nearly equal images on two sides of a fold, or in two of its parts.

    Args:
        found: the variants with their cohorts.
        folds: of the study; None where the cohorts come with their parts.
    """
    notes = []
    for name, cohort in found.sources.items():
        if cohort.cases is None:  # the demo patients are drawn, and no two of them are one
            continue
        cases, rows = (list(cohort), None) if folds is None else (found.cases, _known(folds, found.cases))
        notes += [f"{name}: {note}" if name else note for note in near_notes(cases, cohort.cache_folder, rows)]
    return notes


def _known(folds: FoldFile, cases: Sequence[Case]) -> list[FoldRow]:
    """The rows of a file of folds whose cases are read."""
    known = {case.case_id for case in cases}
    return [row for row in folds.rows if row.case_id in known]


def _refuse_without_parts(study: Study, cases: Sequence[Case]) -> None:
    parts = {case.split for case in cases if case.label}
    lacking = [part for part in ("train", "val", "test") if part not in parts]
    if lacking:
        raise RecipeError(
            f"{study.name}: splits: given, but no labelled case is in {' or '.join(lacking)}. Give the parts in the "
            "case table, or draw folds with --folds N."
        )


def _in_training(cases: Sequence[Case], rows: Sequence[FoldRow]) -> list[FoldRow]:
    """Rows that put cases into the training part of every split."""
    places = sorted({row.place for row in rows})
    return [
        FoldRow(repeat, fold, case.case_id, case.patient_id, "train", inner)
        for repeat, fold, inner in places
        for case in cases
    ]
