"""Predictions in the form that statistics read: arrays over cases, once or several times predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]

Values = NDArray[np.float64]
Index = NDArray[np.int64]
FLOOR = 1e-7
"""Least probability in a logarithm: one case to which a model gave nothing shall not make the mean infinite."""


@dataclass(frozen=True)
class Rows:
    """N labelled cases, each predicted once.

    Attributes:
        prob: (N, C) class distribution.
        predicted: (N,) class index.
        target: (N,) class index.
        confidence: (N,) learned confidence, or the highest probability where none was learned.
    """

    prob: Values
    predicted: Index
    target: Index
    confidence: Values

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Index) -> Rows:
        """Some of the cases, in this order."""
        return Rows(self.prob[rows], self.predicted[rows], self.target[rows], self.confidence[rows])

    def ranked(self) -> Rows:
        """The same cases with ranks in place of probabilities, per class: all that a ranking metric looks at.

        Ranks of two models lie on one scale, which their probabilities need not.
        """
        return replace(self, prob=rankdata(self.prob, axis=0))

    @staticmethod
    def cat(first: Rows, second: Rows) -> Rows:
        """The cases of both, one after the other."""
        return Rows(
            np.concatenate([first.prob, second.prob]),
            np.concatenate([first.predicted, second.predicted]),
            np.concatenate([first.target, second.target]),
            np.concatenate([first.confidence, second.confidence]),
        )


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
