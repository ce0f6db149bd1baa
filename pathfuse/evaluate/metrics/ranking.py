"""Metrics that follow from the order of the probabilities, one class against the rest.

scikit-learn computes them, because torchmetrics works in float32 and answers 0 where a class is absent. It warns there
instead, so it is only asked about classes that occur beside another one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
_Score = Callable[[NDArray[np.bool_], Values], float]


def auroc(prob: Values, target: Labels) -> list[float]:
    """Per class, the area under the ROC curve; ties count one half. NaN where the class or the rest is absent."""
    return _per_class(roc_auc_score, prob, target)


def average_precision(prob: Values, target: Labels) -> list[float]:
    """Per class, the area under the precision-recall curve as steps, not interpolated; NaN as in `auroc`."""
    return _per_class(average_precision_score, prob, target)


def macro(scores: list[float]) -> float:
    """The plain mean. NaN if one class is NaN, because a mean over fewer classes is another quantity."""
    return float(np.mean(scores))


def by_frequency(scores: list[float], target: Labels) -> float:
    """The mean weighted by the cases of each class; a class without cases has no say. NaN if there is one class."""
    share = np.bincount(target, minlength=len(scores)) / max(len(target), 1)
    known = [weight * score for weight, score in zip(share, scores, strict=True) if weight and not isnan(score)]
    return float(sum(known)) if known else nan


def _per_class(score: _Score, prob: Values, target: Labels) -> list[float]:
    return [
        float(score(target == index, prob[:, index])) if 0 < np.sum(target == index) < len(target) else nan
        for index in range(prob.shape[1])
    ]
