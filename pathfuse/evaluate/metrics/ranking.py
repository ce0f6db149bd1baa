"""Metrics that follow from the order of the probabilities, one class against the rest.

scikit-learn computes them, because torchmetrics works in float32 and answers 0 where a class is absent. It warns there
instead, so it is only asked about classes that occur beside another one. For ten thousand weightings of the same cases
it is too slow; `area` and `precision_area` sort once and then only sum.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pathfuse.evaluate.metrics.resampled import Scorer, WeightedMetric, ratio
from pathfuse.runs.rows import Index, Rows, Values

Mask = NDArray[np.bool_]
_Score = Callable[[Mask, Values], float]


class RankingMetric(WeightedMetric):
    """A metric per class, and the plain mean over the classes."""

    ranking = True
    undefined = "a class has no case, or all of them"

    @abstractmethod
    def by_class(self, prob: Values, target: Index) -> list[float]:
        """Per class; NaN where the class or the rest is absent."""

    @abstractmethod
    def kernel(self, score: Values, positive: Mask) -> Scorer:
        """One class, as a function of case weights."""

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The mean over the classes."""
        return macro(self.by_class(prob.numpy(), target.numpy()))

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The mean and every class."""
        return (self.key, *(f"{self.key}/{name}" for name in classes))

    resampled_names = names

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """The mean and every class."""
        found = self.by_class(prob.numpy(), target.numpy())
        return {self.key: macro(found), **{f"{self.key}/{name}": v for name, v in zip(classes, found, strict=True)}}

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """One class, or the mean of all."""
        label = name.partition("/")[2]
        if label in classes:
            index = list(classes).index(label)
            return self.kernel(rows.prob[:, index], rows.target == index)
        parts = [self.kernel(rows.prob[:, index], rows.target == index) for index in range(len(classes))]
        return lambda weight: np.asarray(np.stack([part(weight) for part in parts], axis=1).mean(1))


class AUROC(RankingMetric):
    """Area under the ROC curve, class against the rest: plain mean, mean by frequency, and every class."""

    key = "auroc"

    def by_class(self, prob: Values, target: Index) -> list[float]:
        """Ties count one half."""
        return auroc(prob, target)

    def kernel(self, score: Values, positive: Mask) -> Scorer:
        """`area`."""
        return area(score, positive)

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The two means and every class."""
        mean, *single = super().names(classes)
        return (mean, "auroc_weighted", *single)

    resampled_names = names

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """The two means and every class."""
        found = super().named(prob, target, confidence, classes)
        single = [found[f"{self.key}/{name}"] for name in classes]
        weighted = by_frequency(single, target.numpy())
        return {name: weighted if name == "auroc_weighted" else found[name] for name in self.names(classes)}

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """Also the mean by frequency."""
        if name != "auroc_weighted":
            return super().scorer(rows, name, classes)
        parts = [self.kernel(rows.prob[:, index], rows.target == index) for index in range(len(classes))]
        member = (rows.target[:, None] == np.arange(len(classes))).astype(np.float64)  # (N, C)

        def scorer(weight: Values) -> Values:
            values = np.stack([part(weight) for part in parts], axis=1)  # (K, C)
            share = weight @ member  # (K, C)
            known = ~np.isnan(values) & (share > 0)
            total = np.where(known, share * np.nan_to_num(values), 0.0).sum(1)
            return np.where(known.any(1), ratio(total, share.sum(1)), np.nan)

        return scorer


class AUPRC(RankingMetric):
    """Average precision, class against the rest: the mean and every class."""

    key = "auprc"

    def by_class(self, prob: Values, target: Index) -> list[float]:
        """As steps, not interpolated."""
        return average_precision(prob, target)

    def kernel(self, score: Values, positive: Mask) -> Scorer:
        """`precision_area`."""
        return precision_area(score, positive)


def correctness_auroc(confidence: Values, right: Mask) -> float:
    """How well a confidence (N,) tells right predictions from wrong ones; NaN without both."""
    return auroc(np.stack([1 - confidence, confidence], axis=1), right.astype(np.int64))[1]


def auroc(prob: Values, target: Index) -> list[float]:
    """Per class, the area under the ROC curve; ties count one half. NaN where the class or the rest is absent."""
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]  # a second, where nothing is measured

    return _per_class(roc_auc_score, prob, target)


def average_precision(prob: Values, target: Index) -> list[float]:
    """Per class, the area under the precision-recall curve as steps, not interpolated; NaN as in `auroc`."""
    from sklearn.metrics import average_precision_score

    return _per_class(average_precision_score, prob, target)


def macro(scores: list[float]) -> float:
    """The plain mean. NaN if one class is NaN, because a mean over fewer classes is another quantity."""
    return float(np.mean(scores))


def by_frequency(scores: list[float], target: Index) -> float:
    """The mean weighted by the cases of each class; a class without cases has no say. NaN if there is one class."""
    share = np.bincount(target, minlength=len(scores)) / max(len(target), 1)
    known = [weight * score for weight, score in zip(share, scores, strict=True) if weight and not isnan(score)]
    return float(sum(known)) if known else nan


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
        return ratio(np.einsum("kp,kp->k", above, beaten), above.sum(1) * below[:, -1])

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
        return ratio(np.einsum("kp,kp->k", own, found), own.sum(1) * both_sides)

    return scorer


def _per_class(score: _Score, prob: Values, target: Index) -> list[float]:
    return [
        float(score(target == index, prob[:, index])) if 0 < np.sum(target == index) < len(target) else nan
        for index in range(prob.shape[1])
    ]
