"""Metrics that follow from the confusion matrix alone.

They are computed here in float64, because torchmetrics works in float32 and leaves out other classes than we do: its
macro averages skip a class only if it is neither true nor predicted, its correlation coefficient of two classes has
special cases where the definition says 0.
"""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(C, C) counts, rows true and columns predicted."""
    counts: Tensor = multiclass_confusion_matrix(predicted, target, classes)
    return counts.double()


def accuracy(confusion: Tensor) -> float:
    """Share of correct predictions; NaN without a case."""
    return _ratio(confusion.diagonal().sum(), confusion.sum())


def balanced_accuracy(confusion: Tensor) -> float:
    """Mean recall over the classes that occur; NaN without a case."""
    occurs = confusion.sum(1) > 0
    return float(_recall(confusion)[occurs].mean()) if occurs.any() else nan


def weighted_scores(confusion: Tensor) -> dict[str, float]:
    """Precision, recall and F1 per class, averaged by the number of cases; an undefined value counts 0."""
    share = confusion.sum(1) / confusion.sum()  # (C,)
    return {
        "weighted_precision": float((share * _precision(confusion)).sum()),
        "weighted_recall": float((share * _recall(confusion)).sum()),
        "weighted_f1": float((share * _f1(confusion)).sum()),
    }


def macro_f1(confusion: Tensor) -> float:
    """Mean F1 over all classes, also those that do not occur; NaN without a case."""
    return float(_f1(confusion).mean()) if confusion.any() else nan


def matthews(confusion: Tensor) -> float:
    """Matthews' correlation coefficient of C classes; 0 if truth or prediction is constant, NaN without a case.

    Source: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006, eq. 8.
    """
    if not confusion.any():
        return nan
    n, correct = confusion.sum(), confusion.diagonal().sum()
    support, predicted = confusion.sum(1), confusion.sum(0)  # (C,)
    root = ((n**2 - (predicted**2).sum()) * (n**2 - (support**2).sum())).sqrt()
    return float((correct * n - (support * predicted).sum()) / root) if root > 0 else 0.0


def quadratic_kappa(confusion: Tensor) -> float:
    """Cohen's kappa with quadratic weights: agreement beyond chance, where far misses count more.

    NaN if truth and prediction are one and the same class, as then there is no chance to be beaten.
    """
    if not confusion.any():
        return nan
    rank = torch.arange(len(confusion), dtype=confusion.dtype)
    distance = (rank[:, None] - rank) ** 2  # (C, C)
    chance = confusion.sum(1)[:, None] * confusion.sum(0) / confusion.sum()  # (C, C)
    expected = (distance * chance).sum()
    return float(1 - (distance * confusion).sum() / expected) if expected > 0 else nan


def _recall(confusion: Tensor) -> Tensor:
    return confusion.diagonal() / confusion.sum(1).clamp(min=1)  # (C,)


def _precision(confusion: Tensor) -> Tensor:
    return confusion.diagonal() / confusion.sum(0).clamp(min=1)  # (C,)


def _f1(confusion: Tensor) -> Tensor:
    return 2 * confusion.diagonal() / (confusion.sum(0) + confusion.sum(1)).clamp(min=1)  # (C,)


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if whole > 0 else nan
