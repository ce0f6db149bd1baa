"""Metrics as functions of case weights, so that ten thousand resampled cohorts are one matrix of weights.

A case drawn twice has weight 2; a case that is not drawn has weight 0. With weights of 1 every metric equals that of
`pathfuse.evaluate.metrics.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import RecipeError
from pathfuse.runs.rows import FLOOR, Rows, Values

Mask = NDArray[np.bool_]
Scorer = Callable[[Values], Values]
"""Weights (K, N) to K values; NaN where the metric is not defined."""

BINS = 15


@dataclass(frozen=True)
class Metric:
    """A metric that can be resampled.

    Attributes:
        name: as in `metrics.json`.
        scorer: prepares the metric for some cases.
        higher: whether more is better.
        ranking: whether it only looks at the order of the probabilities.
        positive: for a metric of one class against the rest, that class.
    """

    name: str
    scorer: Callable[[Rows], Scorer]
    higher: bool = True
    ranking: bool = False
    positive: int | None = None


def metric_named(name: str, classes: Sequence[str]) -> Metric:
    """The metric of that name.

    Raises:
        RecipeError: if there is none.
    """
    base, _, label = name.partition("/")
    if label in classes and base in _RANKING:
        kernel, index = _RANKING[base], list(classes).index(label)
        return Metric(
            name, lambda rows: kernel(rows.prob[:, index], rows.target == index), ranking=True, positive=index
        )
    if name in _COUNTED:
        return Metric(name, _of_confusion(_COUNTED[name], len(classes)))
    if name in _RANKING:
        return Metric(name, _macro(_RANKING[name], False), ranking=True)
    if name == "auroc_weighted":
        return Metric(name, _macro(area, True), ranking=True)
    if name in _AVERAGED:
        return Metric(name, _AVERAGED[name], higher=name == "mec")
    raise RecipeError(
        f"--metric {name} is unknown. Choose from {', '.join(metric_names(classes))}, or all for every one of them."
    )


def metric_names(classes: Sequence[str]) -> list[str]:
    """Every metric that can be resampled, for these classes."""
    per_class = [f"{base}/{label}" for base in _RANKING for label in classes]
    return [*_COUNTED, *_RANKING, "auroc_weighted", *per_class, *_AVERAGED]


def area(score: Values, positive: Mask) -> Scorer:
    """The area under the ROC curve; ties count one half, NaN without weight on one of the sides."""
    up, down = np.flatnonzero(positive), np.flatnonzero(~positive)
    down = down[np.argsort(score[down], kind="stable")]
    first = np.searchsorted(score[down], score[up], "left")
    last = np.searchsorted(score[down], score[up], "right")
    tied = bool((first != last).any())

    def scorer(weight: Values) -> Values:
        above = weight.take(up, axis=1)  # (K, P)
        below = np.zeros((len(weight), len(down) + 1))
        np.cumsum(weight.take(down, axis=1), axis=1, out=below[:, 1:])
        beaten = below.take(first, axis=1)  # (K, P)
        if tied:
            beaten = (beaten + below.take(last, axis=1)) / 2
        return _ratio(np.einsum("kp,kp->k", above, beaten), above.sum(1) * below[:, -1])

    return scorer


def precision_area(score: Values, positive: Mask) -> Scorer:
    """Average precision: precision at every threshold, weighted by the positives found there; not interpolated."""
    order = np.argsort(-score, kind="stable")
    falling, up = -score[order], np.flatnonzero(positive[order])
    # A threshold takes all cases with that score: the last of them says what was found and seen.
    last, last_up = (np.searchsorted(values, falling[up], "right") - 1 for values in (falling, falling[up]))
    both_sides = 0 < len(up) < len(score)

    def scorer(weight: Values) -> Values:
        own = weight.take(order[up], axis=1)  # (K, P)
        found = np.cumsum(own, axis=1).take(last_up, axis=1)  # (K, P)
        seen = np.cumsum(weight.take(order, axis=1), axis=1).take(last, axis=1)  # (K, P)
        np.divide(found, seen, out=found, where=seen > 0)
        return _ratio(np.einsum("kp,kp->k", own, found), own.sum(1) * both_sides)

    return scorer


def _macro(kernel: Callable[[Values, Mask], Scorer], by_frequency: bool) -> Callable[[Rows], Scorer]:
    def prepare(rows: Rows) -> Scorer:
        classes = range(rows.prob.shape[1])
        parts = [kernel(rows.prob[:, index], rows.target == index) for index in classes]
        member = (rows.target[:, None] == np.arange(len(classes))).astype(np.float64)  # (N, C)

        def scorer(weight: Values) -> Values:
            values = np.stack([part(weight) for part in parts], axis=1)  # (K, C)
            if not by_frequency:
                return np.asarray(values.mean(1))
            share = weight @ member  # (K, C)
            known = ~np.isnan(values) & (share > 0)
            total = np.where(known, share * np.nan_to_num(values), 0.0).sum(1)
            return np.where(known.any(1), _ratio(total, share.sum(1)), np.nan)

        return scorer

    return prepare


def _of_confusion(formula: Callable[[Values], Values], classes: int) -> Callable[[Rows], Scorer]:
    def prepare(rows: Rows) -> Scorer:
        cell = np.zeros((len(rows), classes * classes))
        cell[np.arange(len(rows)), rows.target * classes + rows.predicted] = 1
        return lambda weight: formula((weight @ cell).reshape(-1, classes, classes))  # (K, C, C)

    return prepare


def _accuracy(counts: Values) -> Values:
    return _ratio(_diagonal(counts).sum(1), counts.sum((1, 2)))


def _balanced_accuracy(counts: Values) -> Values:
    support = counts.sum(2)  # (K, C)
    recall = _diagonal(counts) / np.where(support > 0, support, 1)
    return _ratio(recall.sum(1), (support > 0).sum(1).astype(np.float64))


def _matthews(counts: Values) -> Values:
    n, correct = counts.sum((1, 2)), _diagonal(counts).sum(1)
    support, predicted = counts.sum(2), counts.sum(1)  # (K, C)
    root = np.sqrt((n**2 - (predicted**2).sum(1)) * (n**2 - (support**2).sum(1)))
    value = (correct * n - (support * predicted).sum(1)) / np.where(root > 0, root, 1)
    return np.where(n > 0, np.where(root > 0, value, 0.0), np.nan)


def _kappa(counts: Values) -> Values:
    rank = np.arange(counts.shape[1])
    distance = (rank[:, None] - rank) ** 2.0  # (C, C)
    total = counts.sum((1, 2))
    chance = counts.sum(2)[:, :, None] * counts.sum(1)[:, None, :] / np.where(total > 0, total, 1)[:, None, None]
    return 1 - _ratio((distance * counts).sum((1, 2)), (distance * chance).sum((1, 2)))


def _macro_f1(counts: Values) -> Values:
    return np.where(counts.sum((1, 2)) > 0, _f1(counts).mean(1), np.nan)


def _weighted_f1(counts: Values) -> Values:
    support = counts.sum(2)  # (K, C)
    return _ratio((support * _f1(counts)).sum(1), support.sum(1))


def _f1(counts: Values) -> Values:
    both = counts.sum(1) + counts.sum(2)  # (K, C)
    return 2 * _diagonal(counts) / np.where(both > 0, both, 1)


def _brier(rows: Rows) -> Scorer:
    truth = np.eye(rows.prob.shape[1])[rows.target]  # (N, C)
    return _mean_of(((rows.prob - truth) ** 2).sum(1))


def _log_loss(rows: Rows) -> Scorer:
    wanted = rows.prob[np.arange(len(rows)), rows.target]
    return _mean_of(-np.log(np.clip(wanted, FLOOR, 1)))


def _mec(rows: Rows) -> Scorer:
    return _mean_of(np.where(rows.predicted == rows.target, rows.confidence, -rows.confidence))


def _ece(rows: Rows) -> Scorer:
    sure = rows.prob[np.arange(len(rows)), rows.predicted]
    layer = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gap = np.zeros((len(rows), BINS))
    gap[np.arange(len(rows)), layer] = (rows.predicted == rows.target) - sure
    return lambda weight: _ratio(np.abs(weight @ gap).sum(1), weight.sum(1))


def _mean_of(value: Values) -> Scorer:
    return lambda weight: _ratio(np.asarray(weight @ value), weight.sum(1))


def _diagonal(counts: Values) -> Values:
    return np.asarray(np.diagonal(counts, axis1=1, axis2=2))  # (K, C)


def _ratio(part: Values, whole: Values) -> Values:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


_COUNTED: dict[str, Callable[[Values], Values]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "mcc": _matthews,
    "kappa_quadratic": _kappa,
    "macro_f1": _macro_f1,
    "weighted_f1": _weighted_f1,
}
_RANKING = {"auroc": area, "auprc": precision_area}
_AVERAGED: dict[str, Callable[[Rows], Scorer]] = {"brier": _brier, "log_loss": _log_loss, "ece": _ece, "mec": _mec}
