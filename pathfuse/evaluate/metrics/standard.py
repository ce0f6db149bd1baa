"""The metrics that every run reports, by the names that users meet in logs, files and tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pathfuse.core import Metric
from pathfuse.errors import RecipeError
from pathfuse.evaluate.metrics.calibration import BrierScore, ExpectedCalibrationError, LogLoss
from pathfuse.evaluate.metrics.confidence import MeanEffectiveConfidence
from pathfuse.evaluate.metrics.counted import (
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    MatthewsCorrelation,
    QuadraticKappa,
    WeightedF1,
)
from pathfuse.evaluate.metrics.ranking import AUPRC, AUROC
from pathfuse.evaluate.metrics.resampled import Resampled, WeightedMetric
from pathfuse.registry import METRICS
from pathfuse.runs.rows import Index, Values

CLASSIFICATION: tuple[WeightedMetric, ...] = (
    Accuracy(),
    BalancedAccuracy(),
    WeightedF1(),
    MacroF1(),
    MatthewsCorrelation(),
    QuadraticKappa(),
    AUROC(),
    AUPRC(),
    MeanEffectiveConfidence(),
)
"""Reported of the test part, and of the validation part after every epoch."""

CALIBRATION: tuple[WeightedMetric, ...] = (ExpectedCalibrationError(), BrierScore(), LogLoss())
"""Reported of the test part, before and after calibration."""


RESERVED = (
    "loss",
    "balanced_accuracy_low",
    "balanced_accuracy_high",
    *(f"{area}_{kind}" for area in ("aurc", "excess_aurc") for kind in ("softmax", "learned", "combined")),
    *(f"confidence_auroc_{kind}" for kind in ("softmax", "learned", "combined")),
    "temperature",
    "calibrated",
    "abstained",
    "risk_kept",
    "risk_abstained",
    "set_coverage",
    "set_coverage_low",
    "set_coverage_high",
    "set_size",
    "equivocal",
)
"""What else stands in `metrics.json` or in logs; the name of a metric before a slash is none of these."""


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
    return all_named(CLASSIFICATION, prob, target, confidence, classes)


def calibration_metrics(prob: Values, target: Index) -> dict[str, float]:
    """The calibration errors of N labelled cases; arguments as in `classification_metrics`."""
    classes = tuple(map(str, range(prob.shape[1])))
    return all_named(CALIBRATION, torch.from_numpy(prob), torch.from_numpy(target), None, classes)


def all_named(
    metrics: Sequence[Metric], prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
) -> dict[str, float]:
    """The numbers of several metrics; arguments as in `classification_metrics`."""
    return {k: v for metric in metrics for k, v in metric(prob, target, confidence, classes).items()}


def metric_named(name: str, classes: Sequence[str]) -> Resampled:
    """A metric to be resampled: one of `metric_names`, or the class name of a registered one.

    Raises:
        RecipeError: if there is none.
        PluginError: if its plug-in does not import.
    """
    for metric in (*CLASSIFICATION, *CALIBRATION):
        if name in metric.resampled_names(classes):
            return Resampled.of(metric, name, classes)
    if name in METRICS.table():
        registered = METRICS.get(name)()
        return Resampled.of(registered, registered.key, classes)
    raise RecipeError(
        f"--metric {name} is unknown. Choose from {', '.join(metric_names(classes))}, or all for every one of them; or "
        "name a registered metric of `pathfuse plugins`."
    )


def metric_names(classes: Sequence[str]) -> list[str]:
    """Every number of ours that can be resampled, for these classes."""
    return [name for metric in (*CLASSIFICATION, *CALIBRATION) for name in metric.resampled_names(classes)]
