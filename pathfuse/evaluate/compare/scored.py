"""The test cases of a run as a comparison reads them: every case once, predicted one or several times."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pathfuse.runs.rows import Index, Rows


class FoldRows(NamedTuple):
    """The cases that one model of a cross-validation tested, under the name of the fold."""

    name: str
    rows: Rows
    case_ids: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """The test cases of a run, each predicted equally often.

    Attributes:
        case_ids: the N cases, sorted.
        patient_ids: their patients.
        passes: one entry per time that every case was predicted, for example one per seed or repeat.
        folds: per model of a cross-validation its cases; empty unless the run was cross-validated.
        learned: whether the confidence was learned.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    passes: tuple[Rows, ...]
    folds: tuple[FoldRows, ...] = ()
    learned: bool = False

    @property
    def target(self) -> Index:
        """(N,) class index."""
        return self.passes[0].target

    @property
    def owner(self) -> Index:
        """(N,) number of the patient of every case."""
        return np.unique(np.asarray(self.patient_ids, dtype=str), return_inverse=True)[1].astype(np.int64)

    def of_cases(self, wanted: Collection[str]) -> Scored:
        """Only these cases."""
        keep = _places(self.case_ids, wanted)
        folds = []
        for fold in self.folds:
            own = _places(fold.case_ids, wanted)
            if len(own):
                folds.append(FoldRows(fold.name, fold.rows.take(own), tuple(fold.case_ids[row] for row in own)))
        return replace(
            self,
            case_ids=tuple(self.case_ids[row] for row in keep),
            patient_ids=tuple(self.patient_ids[row] for row in keep),
            passes=tuple(rows.take(keep) for rows in self.passes),
            folds=tuple(folds),
        )


def paired_folds(one: Scored, other: Scored) -> tuple[list[tuple[str, Rows]], list[tuple[str, Rows]]]:
    """The folds of two runs, side by side; none where they are not of the same cases."""
    same = [(fold.name, fold.case_ids) for fold in one.folds] == [(fold.name, fold.case_ids) for fold in other.folds]
    if not same:
        return [], []
    return [(fold.name, fold.rows) for fold in one.folds], [(fold.name, fold.rows) for fold in other.folds]


def _places(case_ids: tuple[str, ...], wanted: Collection[str]) -> Index:
    return np.array([row for row, case in enumerate(case_ids) if case in wanted], dtype=np.int64)
