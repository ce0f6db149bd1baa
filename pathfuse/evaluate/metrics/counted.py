"""Metrics that follow from the confusion matrix alone.

They are computed here in float64, because torchmetrics works in float32 and leaves out other classes than we do: its
macro averages skip a class only if it is neither true nor predicted, its correlation coefficient of two classes has
special cases where the definition says 0.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pathfuse.evaluate.metrics.resampled import Scorer, WeightedMetric
from pathfuse.runs.rows import Rows


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(C, C) counts, rows true and columns predicted."""
    cells = torch.bincount(target * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes).double()


class CountedMetric(WeightedMetric):
    """A metric that is a formula of the confusion matrix."""

    @abstractmethod
    def formula(self, counts: Tensor) -> Tensor:
        """(K,) values of K matrices (K, C, C), rows true and columns predicted; NaN of one without a case."""

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The value for the predicted classes."""
        return float(self.formula(confusion_matrix(prob.argmax(1), target, prob.shape[1])[None]))

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """One matrix of counts per row of weights."""
        width = len(classes)
        cell = np.zeros((len(rows), width * width))
        cell[np.arange(len(rows)), rows.target * width + rows.predicted] = 1
        return lambda weight: self.formula(torch.from_numpy((weight @ cell).reshape(-1, width, width))).numpy()


class Accuracy(CountedMetric):
    """Share of right predictions."""

    key = "accuracy"

    def formula(self, counts: Tensor) -> Tensor:
        """(K,) the diagonal by everything."""
        return _ratio(_right(counts).sum(1), counts.sum((1, 2)))


class BalancedAccuracy(CountedMetric):
    """Mean over the classes that occur of the share that is found."""

    key = "balanced_accuracy"

    def formula(self, counts: Tensor) -> Tensor:
        """(K,) mean recall."""
        occurring = (counts.sum(2) > 0).sum(1)  # (K,)
        return _ratio(_recall(counts).sum(1), occurring.double())


class WeightedF1(CountedMetric):
    """F1, precision and recall per class, averaged by the cases of each; what is not defined for a class counts 0."""

    key = "weighted_f1"

    def formula(self, counts: Tensor) -> Tensor:
        """(K,) weighted F1."""
        return _by_cases(counts, _f1(counts))

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Precision and recall come with it."""
        return ("weighted_precision", "weighted_recall", self.key)

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """All three."""
        counts = confusion_matrix(prob.argmax(1), target, prob.shape[1])[None]
        parts = (_precision(counts), _recall(counts), _f1(counts))
        values = [float(_by_cases(counts, part)) for part in parts]
        return dict(zip(self.names(classes), values, strict=True))


class MacroF1(CountedMetric):
    """Mean F1 over all classes, also those that do not occur."""

    key = "macro_f1"

    def formula(self, counts: Tensor) -> Tensor:
        """(K,) plain mean."""
        return torch.where(counts.sum((1, 2)) > 0, _f1(counts).mean(1), torch.nan)


class MatthewsCorrelation(CountedMetric):
    """Matthews' correlation coefficient of C classes; 0 if truth or prediction is constant.

    Source: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006, eq. 8.
    """

    key = "mcc"

    def formula(self, counts: Tensor) -> Tensor:
        """(K,) the coefficient."""
        n, right = counts.sum((1, 2)), _right(counts).sum(1)  # (K,)
        support, predicted = counts.sum(2), counts.sum(1)  # (K, C)
        root = ((n**2 - (predicted**2).sum(1)) * (n**2 - (support**2).sum(1))).sqrt()
        value = (right * n - (support * predicted).sum(1)) / torch.where(root > 0, root, 1.0)
        return torch.where(n > 0, torch.where(root > 0, value, 0.0), torch.nan)


class QuadraticKappa(CountedMetric):
    """Cohen's kappa with quadratic weights: agreement beyond chance, where far misses count more."""

    key = "kappa_quadratic"
    undefined = "truth and prediction are one and the same class, so that there is no chance to be beaten"

    def formula(self, counts: Tensor) -> Tensor:
        """(K,) kappa."""
        rank = torch.arange(counts.shape[1], dtype=counts.dtype)
        distance = (rank[:, None] - rank) ** 2  # (C, C)
        n = counts.sum((1, 2)).clamp(min=torch.finfo(counts.dtype).tiny)
        chance = counts.sum(2)[:, :, None] * counts.sum(1)[:, None, :] / n[:, None, None]  # (K, C, C)
        return 1 - _ratio((distance * counts).sum((1, 2)), (distance * chance).sum((1, 2)))


def _right(counts: Tensor) -> Tensor:
    return counts.diagonal(dim1=1, dim2=2)  # (K, C)


def _recall(counts: Tensor) -> Tensor:
    return _right(counts) / _or_one(counts.sum(2))  # (K, C)


def _precision(counts: Tensor) -> Tensor:
    return _right(counts) / _or_one(counts.sum(1))  # (K, C)


def _f1(counts: Tensor) -> Tensor:
    return 2 * _right(counts) / _or_one(counts.sum(1) + counts.sum(2))  # (K, C)


def _by_cases(counts: Tensor, value: Tensor) -> Tensor:
    share = counts.sum(2) / counts.sum((1, 2))[:, None]  # (K, C)
    return (share * value).sum(1)  # (K,)


def _or_one(whole: Tensor) -> Tensor:
    return torch.where(whole > 0, whole, 1.0)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / _or_one(whole), torch.nan)  # (K,)
