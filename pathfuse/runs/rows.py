"""Predictions of labelled cases as arrays, which is the form that statistics read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
        from scipy.stats import rankdata  # type: ignore[import-untyped]  # half a second, which a prediction does without

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
