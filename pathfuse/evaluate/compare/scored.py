"""The test cases of a run as a comparison reads them: every case once, predicted one or several times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pathfuse.runs.rows import Index, Rows


@dataclass(frozen=True)
class Scored:
    """The test cases of a run, each predicted equally often.

    Attributes:
        case_ids: the N cases, sorted.
        patient_ids: their patients.
        passes: one entry per time that every case was predicted, for example one per seed or repeat.
        folds: per test fold its name and its cases; empty unless the run was cross-validated.
        learned: whether the confidence was learned.
    """

    case_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    passes: tuple[Rows, ...]
    folds: tuple[tuple[str, Rows], ...] = ()
    learned: bool = False

    @property
    def target(self) -> Index:
        """(N,) class index."""
        return self.passes[0].target

    @property
    def owner(self) -> Index:
        """(N,) number of the patient of every case."""
        return np.unique(np.asarray(self.patient_ids, dtype=str), return_inverse=True)[1].astype(np.int64)
