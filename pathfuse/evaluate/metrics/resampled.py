"""Metrics as functions of case weights, so that ten thousand resampled cohorts are one matrix of weights.

A case drawn twice has weight 2; a case that is not drawn has weight 0. Each metric states its formula once, in its own
module, for weights of 1 and for any others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from pathfuse.core import Metric
from pathfuse.runs.rows import Rows, Values

Scorer = Callable[[Values], Values]
"""Weights (K, N) to K values; NaN where the metric is not defined."""


class WeightedMetric(Metric):
    """A metric that can be had for many weightings of the same cases at once.

    Attributes:
        ranking: whether it only looks at the order of the probabilities.
    """

    ranking: ClassVar[bool] = False

    @abstractmethod
    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """Prepares one of `resampled_names` for some cases."""

    def resampled_names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Those of its numbers that can be had for weights."""
        return (self.key,)


@dataclass(frozen=True)
class Resampled:
    """One number of a metric, ready to be resampled.

    Attributes:
        name: as in `metrics.json`.
        scorer: prepares it for some cases.
        higher: whether more is better.
        ranking: whether it only looks at the order of the probabilities.
        positive: for a number of one class against the rest, that class.
    """

    name: str
    scorer: Callable[[Rows], Scorer]
    higher: bool = True
    ranking: bool = False
    positive: int | None = None

    @classmethod
    def of(cls, metric: Metric, name: str, classes: Sequence[str]) -> Resampled:
        """A number of any metric; one that knows no weights is asked about each cohort by itself, which takes longer.

        Args:
            metric: ours, or that of a plug-in.
            name: which of its numbers.
            classes: class names.
        """
        label = name.partition("/")[2]
        positive = list(classes).index(label) if label in classes else None
        if isinstance(metric, WeightedMetric) and name in metric.resampled_names(classes):
            return cls(name, lambda rows: metric.scorer(rows, name, classes), metric.higher, metric.ranking, positive)
        return cls(name, lambda rows: _one_by_one(metric, rows, name, classes), metric.higher, positive=positive)


def _one_by_one(metric: Metric, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
    def value(weight: Values) -> float:
        own = rows.take(np.repeat(np.arange(len(rows)), weight.astype(np.int64)))
        prob, target, sure = (torch.from_numpy(part) for part in (own.prob, own.target, own.confidence))
        return metric(prob, target, sure, classes)[name]

    return lambda weight: np.array([value(row) for row in weight])


def mean_of(value: Values) -> Scorer:
    """The weighted mean of one value (N,) per case."""
    return lambda weight: ratio(np.asarray(weight @ value), weight.sum(1))


def ratio(part: Values, whole: Values) -> Values:
    """(K,) the one by the other; NaN where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))
