"""Calibration errors, reliability diagrams, and scores of the probabilities themselves.

Probabilities are (N, C), targets (N,) class indices; every case is labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from pathfuse.evaluate.metrics.resampled import Scorer, WeightedMetric, mean_of, ratio
from pathfuse.runs.rows import FLOOR, Index, Rows, Values

BINS = 15
Binning = Literal["width", "mass"]


class Bin(NamedTuple):
    """The cases whose probability lies between `low` and `high`; `confidence` and `accuracy` are their means."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(probability: Values, happened: Index, *, bins: int = BINS, binning: Binning = "width") -> list[Bin]:
    """The points of a reliability diagram; empty bins are left out.

    Args:
        probability: (N,) of the event.
        happened: (N,) 0 or 1.
        bins: how many at most.
        binning: `width` cuts 0 to 1 in equal pieces, `mass` gives every bin about as many cases.
    """
    if not len(probability):
        return []
    edges = _edges(probability, bins, binning)
    own = _bin_of(probability, edges)
    size = np.bincount(own, minlength=len(edges) - 1)
    means = [
        np.bincount(own, weights=v, minlength=len(edges) - 1) / np.maximum(size, 1) for v in (probability, happened)
    ]
    return [
        Bin(float(edges[k]), float(edges[k + 1]), int(size[k]), float(means[0][k]), float(means[1][k]))
        for k in np.flatnonzero(size)
    ]


def calibration_error(probability: Values, happened: Index, *, bins: int = BINS, binning: Binning = "width") -> float:
    """The mean distance between what was said and what happened, weighted by cases; NaN without a case."""
    found = reliability(probability, happened, bins=bins, binning=binning)
    if not found:
        return nan
    n, said, came_true = np.array([(one.n, one.confidence, one.accuracy) for one in found]).T[:, None]  # (1, bins)
    return float(_distance(n, said, came_true)[0])


def expected_calibration_error(prob: Values, target: Index, *, bins: int = BINS) -> float:
    """ECE: the calibration error of the highest probability in bins of equal width.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    return calibration_error(*_top(prob, target), bins=bins)


def adaptive_calibration_error(prob: Values, target: Index, *, bins: int = BINS) -> float:
    """ECE in bins of equal size, which few confident cases cannot hide in.

    Source: Nguyen & O'Connor 2015, arXiv:1508.05154.
    """
    return calibration_error(*_top(prob, target), bins=bins, binning="mass")


def reliability_by_class(prob: Values, target: Index, classes: Sequence[str], *, bins: int = 10) -> list[list[Bin]]:
    """The diagram of the highest probability, followed by that of each class."""
    single = [reliability(prob[:, c], (target == c).astype(np.int64), bins=bins) for c in range(len(classes))]
    return [reliability(*_top(prob, target), bins=bins), *single]


class ExpectedCalibrationError(WeightedMetric):
    """Distance between the highest probability and how often it is right, in bins of equal width and of equal size."""

    key = "ece"
    higher = False

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """In bins of equal width."""
        return expected_calibration_error(prob.numpy(), target.numpy())

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """In bins of equal width, and of equal size."""
        return (self.key, "ece_adaptive")

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """Both."""
        values, labels = prob.numpy(), target.numpy()
        return {
            self.key: expected_calibration_error(values, labels),
            "ece_adaptive": adaptive_calibration_error(values, labels),
        }

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """In bins of equal width."""
        sure = rows.prob[np.arange(len(rows)), rows.predicted]
        member = np.zeros((len(rows), BINS))
        member[np.arange(len(rows)), _bin_of(sure, _edges(sure, BINS, "width"))] = 1
        said, right = member * sure[:, None], member * (rows.predicted == rows.target)[:, None]

        def scorer(weight: Values) -> Values:
            n = weight @ member  # (K, bins)
            some = np.where(n > 0, n, 1)
            return _distance(n, (weight @ said) / some, (weight @ right) / some)

        return scorer


class BrierScore(WeightedMetric):
    """Mean squared distance from the truth, summed over classes: 0 is perfect, 2 the worst."""

    key = "brier"
    higher = False

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The mean."""
        return float(_squared_distance(prob.numpy(), target.numpy()).mean())

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """The weighted mean."""
        return mean_of(_squared_distance(rows.prob, rows.target))


class LogLoss(WeightedMetric):
    """Mean negative log probability of the truth; a probability of 0 counts as 1e-7."""

    key = "log_loss"
    higher = False

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The mean."""
        return float(_surprise(prob.numpy(), target.numpy()).mean())

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """The weighted mean."""
        return mean_of(_surprise(rows.prob, rows.target))


def _squared_distance(prob: Values, target: Index) -> Values:
    return np.asarray(((prob - np.eye(prob.shape[1])[target]) ** 2).sum(1))  # (N,)


def _surprise(prob: Values, target: Index) -> Values:
    return np.asarray(-np.log(np.clip(prob[np.arange(len(target)), target], FLOOR, 1)))  # (N,)


def _distance(n: Values, said: Values, came_true: Values) -> Values:
    """(K,) the mean distance over bins, weighted by the cases (K, bins) in each."""
    total = sum(n[:, k] * np.abs(said[:, k] - came_true[:, k]) for k in range(n.shape[1]))
    return ratio(np.asarray(total), n.sum(1))


def _bin_of(probability: Values, edges: Values) -> Index:
    """(N,) number of the bin: it holds its upper edge, the first one also its lower."""
    return np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, len(edges) - 2)


def _top(prob: Values, target: Index) -> tuple[Values, Index]:
    return prob.max(1), (prob.argmax(1) == target).astype(np.int64)


def _edges(probability: Values, bins: int, binning: Binning) -> Values:
    if binning == "width":
        return np.linspace(0, 1, bins + 1)
    inner = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))
