"""All metrics of a set of predictions, by the names that users meet in logs, files and tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
import torch
from torch import Tensor

from pathfuse.evaluate.metrics import counts, mec, ranking


def classification_metrics(
    prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
) -> dict[str, float]:
    """Every metric, always under the same names; NaN where it is not defined, for example for an absent class.

    Args:
        prob: (N, C) class distribution.
        target: (N,) class index; cases with -1 are left out.
        confidence: (N,) learned confidence; None takes the highest probability.
        classes: the C class names.
    """
    known = (target >= 0).cpu()
    prob = prob.detach().double().cpu()[known]  # (N', C)
    target = target.cpu()[known]  # (N',)
    sure = prob.amax(1) if confidence is None else confidence.detach().double().cpu()[known]  # (N',)
    # A network that diverged says nothing; whichever class comes out of the NaN is no prediction.
    broken = not (torch.isfinite(prob).all() and torch.isfinite(sure).all())
    if broken:
        prob, target, sure = prob[:0], target[:0], sure[:0]
    return {
        **_from_counts(prob, target),
        **_from_ranking(prob, target, classes),
        **_from_confidence(prob, target, sure),
    }


def _from_counts(prob: Tensor, target: Tensor) -> dict[str, float]:
    confusion = counts.confusion_matrix(prob.argmax(1), target, prob.shape[1])
    return {
        "accuracy": counts.accuracy(confusion),
        "balanced_accuracy": counts.balanced_accuracy(confusion),
        **counts.weighted_scores(confusion),
        "macro_f1": counts.macro_f1(confusion),
        "mcc": counts.matthews(confusion),
        "kappa_quadratic": counts.quadratic_kappa(confusion),
    }


def _from_ranking(prob: Tensor, target: Tensor, classes: Sequence[str]) -> dict[str, float]:
    values, labels = prob.numpy(), target.numpy()
    area, precision = ranking.auroc(values, labels), ranking.average_precision(values, labels)
    return {
        "auroc": ranking.macro(area),
        "auroc_weighted": ranking.by_frequency(area, labels),
        **{f"auroc/{name}": value for name, value in zip(classes, area, strict=True)},
        "auprc": ranking.macro(precision),
        **{f"auprc/{name}": value for name, value in zip(classes, precision, strict=True)},
    }


def _from_confidence(prob: Tensor, target: Tensor, confidence: Tensor) -> dict[str, float]:
    correct = prob.argmax(1) == target  # (N,)
    result = {
        "mec": mec.mean_effective_confidence(correct, confidence),
        "mec_constant": mec.constant_confidence(correct),
    }
    layer = mec.stratum(confidence)  # (N,)
    for index, name in enumerate(mec.STRATA):
        rows = layer == index
        right = correct[rows].double()
        result[f"confidence_{name}/n"] = float(rows.sum())
        result[f"confidence_{name}/accuracy"] = float(right.mean()) if len(right) else nan
        result[f"confidence_{name}/auroc"] = _occurring_auroc(prob[rows], target[rows])
    return result


def _occurring_auroc(prob: Tensor, target: Tensor) -> float:
    """The mean over the classes that occur: a stratum seldom holds all of them, and NaN would then be the rule."""
    known = [area for area in ranking.auroc(prob.numpy(), target.numpy()) if not np.isnan(area)]
    return float(np.mean(known)) if known else nan
