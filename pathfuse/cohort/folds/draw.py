"""Draws cross-validation folds by patient, with a validation part inside every training fold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathfuse.cohort.folds.check import check_folds, label_of
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError

Rows = npt.NDArray[np.int64]
Groups = npt.NDArray[np.str_]
FEWEST_SITES = 3  # with two, a whole site for validation would leave one to train on


@dataclass(frozen=True)
class Splits:
    """Splits of a cohort.

    Attributes:
        rows: every case in every split.
        notes: what should be known about them, warnings first.
    """

    rows: tuple[FoldRow, ...]
    notes: tuple[str, ...]


def draw_folds(
    cases: Sequence[Case],
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    val_fraction: float = 0.2,
    group: str = "patient_id",
    site: str | None = None,
    stratify: str = "label",
    nested: int = 0,
) -> Splits:
    """Every case is tested once per repeat; no patient, group or site is ever on two sides.

    Args:
        cases: the cohort; its order does not matter.
        folds: test folds.
        repeats: how often the folds are drawn anew.
        seed: same seed, same folds.
        val_fraction: share of each training fold that becomes its validation part.
        group: column whose equal cells stay together; it may not divide a patient.
        site: column of sites; each is tested as a whole (preserved-site folds, Howard et al. 2021,
            doi:10.1038/s41467-021-24698-1). None lets sites mix.
        stratify: column whose classes are spread evenly; `none` does not.
        nested: inner folds per training fold, whose held-out parts are the validation parts; 0 draws one.

    Raises:
        CaseTableError: if there are too few groups, a patient is divided, or a class cannot be in every training part.
    """
    if folds < 2 or repeats < 1 or not 0 < val_fraction < 1 or nested == 1 or nested < 0:
        raise CaseTableError(
            f"{folds} folds, {repeats} repeats, val_fraction {val_fraction:g}, nested {nested}: choose 2 folds or "
            "more, 1 repeat or more, a fraction between 0 and 1, and 0 or at least 2 nested folds."
        )
    ordered = sorted(cases, key=lambda case: (case.patient_id, case.case_id))
    column = site or group
    groups = np.array([label_of(case, column) for case in ordered], dtype=str)
    _refuse_divided(ordered, groups, column)
    distinct = len(set(groups.tolist()))
    if distinct < folds:
        raise CaseTableError(
            f"{distinct} different {column} do not fill {folds} test folds. Use fewer folds, or gather more patients."
        )
    labels = np.array([label_of(case, stratify) for case in ordered], dtype=str)
    patients = np.array([case.patient_id for case in ordered], dtype=str)
    notes: list[str] = []
    rows: list[FoldRow] = []
    for repeat in range(repeats):
        for fold, (rest, test) in enumerate(held_out(labels, groups, folds, _seed(seed, repeat))):
            inside = groups
            if site and len(set(groups[rest].tolist())) < FEWEST_SITES:
                inside = patients
                notes.append(
                    f"repeat {repeat}, fold {fold}: too few sites to validate on whole ones; drawn by patient."
                )
            draw = _seed(seed, repeat, fold)
            choices = _validation(labels[rest], inside[rest], val_fraction, nested, draw)
            for inner, val in enumerate(choices):
                part = np.full(len(ordered), "train", dtype="<U5")
                part[test], part[rest[val]] = "test", "val"
                rows += [
                    FoldRow(repeat, fold, case.case_id, case.patient_id, str(own), inner)
                    for case, own in zip(ordered, part, strict=True)
                ]
    return Splits(tuple(rows), (*check_folds(rows, cases, stratify=stratify), *notes))


def with_validation(
    rows: Sequence[FoldRow], cases: Sequence[Case], *, val_fraction: float = 0.2, seed: int = 0, stratify: str = "label"
) -> list[FoldRow]:
    """The rows of one split with a validation part drawn out of its training part, by patient.

    Args:
        rows: one split that has no validation part.
        cases: the cohort.
        val_fraction: share of the training part.
        seed: of the draw.
        stratify: column whose classes are spread evenly.
    """
    known = {case.case_id: case for case in cases}
    train = sorted((row for row in rows if row.part == "train"), key=lambda row: (row.patient_id, row.case_id))
    if not train:
        return list(rows)
    labels = np.array([label_of(known[row.case_id], stratify) for row in train], dtype=str)
    patients = np.array([row.patient_id for row in train], dtype=str)
    (val,) = _validation(labels, patients, val_fraction, 0, _seed(seed, *train[0].place))
    moved = {train[index].case_id for index in val.tolist()}
    return [row._replace(part="val") if row.case_id in moved else row for row in rows]


def held_out(labels: Groups, groups: Groups, folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """The rest and the held-out rows of every fold; groups stay whole, labels are spread evenly."""
    from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    counts = np.unique(labels, return_counts=True)[1]
    # scikit-learn refuses where every class is smaller than the number of folds: there is nothing to spread.
    spread = labels if counts.max() >= folds else np.zeros(len(labels), dtype=str)
    with warnings.catch_warnings():
        # It also warns of a class smaller than the number of folds; check_folds says which part lacks which class.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(splitter.split(np.zeros(len(labels)), spread, groups))


def _validation(labels: Groups, groups: Groups, fraction: float, nested: int, seed: int) -> list[Rows]:
    """The validation rows of a training fold: one choice, or one per inner fold."""
    distinct = len(set(groups.tolist()))
    wanted = nested or max(2, round(1 / fraction))
    if distinct < (nested or 2):
        raise CaseTableError(
            f"a training fold has {distinct} groups, too few for {nested or 'a training and a'} validation parts. Use "
            "fewer folds, or gather more patients."
        )
    choices = [held for _, held in held_out(labels, groups, min(wanted, distinct), seed) if len(held)]
    if nested:
        return choices
    classes = {label for label in labels.tolist() if label}

    def lacking(held: Rows) -> tuple[int, int, float]:
        kept = np.delete(labels, held)
        distance = abs(len(held) / len(labels) - fraction)
        return len(classes - set(kept.tolist())), len(classes - set(labels[held].tolist())), distance

    # A rare class must stay in training, and is worth having in validation too.
    return [min(choices, key=lacking)]


def _refuse_divided(cases: Sequence[Case], groups: Groups, column: str) -> None:
    first: dict[str, tuple[str, str]] = {}
    for case, own in zip(cases, groups.tolist(), strict=True):
        if not own:
            raise CaseTableError(f"case {case.case_id} has no {column}, by which folds are drawn. Fill it in.")
        other, other_case = first.setdefault(case.patient_id, (own, case.case_id))
        if other != own:
            raise CaseTableError(
                f"patient {case.patient_id} has {column} {other} (case {other_case}) and {own} (case {case.case_id}), "
                "so it would be on two sides. Group by a column that does not divide patients."
            )


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
