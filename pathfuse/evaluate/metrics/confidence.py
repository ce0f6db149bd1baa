"""Metrics of confidence: high where predictions are right, low where they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal

import torch
from torch import Tensor

from pathfuse.evaluate.metrics.ranking import correctness_auroc
from pathfuse.evaluate.metrics.resampled import Scorer, WeightedMetric, mean_of
from pathfuse.evaluate.metrics.strata import STRATA, layers
from pathfuse.runs.rows import Rows


class MeanEffectiveConfidence(WeightedMetric):
    """Mean effective confidence, what a constant one would score, its mean, its ranking, and strata of confidence.

    Where no confidence was learned the highest probability stands in.

    Source: Corr-A-Net (Dutta et al. 2025), eq. 9.
    """

    key = "mec"

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The signed form of `mean_effective_confidence`."""
        return mean_effective_confidence(prob.argmax(1) == target, prob.amax(1) if confidence is None else confidence)

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Itself, the constant one, mean and ranking of the confidence, and three numbers per stratum."""
        strata = (f"confidence_{name}/{key}" for name in STRATA for key in ("n", "accuracy", "auroc"))
        return (self.key, "mec_constant", "confidence_mean", "confidence_auroc", *strata)

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """All of them; a stratum without a case has size 0 and else NaN."""
        sure, predicted = prob.amax(1) if confidence is None else confidence, prob.argmax(1)
        correct = predicted == target  # (N,)
        found = layers(Rows(prob.numpy(), predicted.numpy(), target.numpy(), sure.numpy()))
        strata = [float(value) for layer in found for value in (layer.n, layer.accuracy, layer.auroc)]
        mean = float(sure.double().mean()) if len(sure) else nan
        ranking = correctness_auroc(sure.double().numpy(), correct.numpy())
        values = [mean_effective_confidence(correct, sure), constant_confidence(correct), mean, ranking, *strata]
        return dict(zip(self.names(classes), values, strict=True))

    def scorer(self, rows: Rows, name: str, classes: Sequence[str]) -> Scorer:
        """The weighted mean."""
        correct = torch.from_numpy(rows.predicted == rows.target)
        return mean_of(effective_confidence(correct, torch.from_numpy(rows.confidence)).numpy())


def mean_effective_confidence(
    correct: Tensor,
    confidence: Tensor,
    *,
    form: Literal["signed", "symmetric"] = "signed",
    scale: Literal["none", "minmax"] = "none",
) -> float:
    """The confidence of right predictions set off against that of wrong ones; NaN without a case.

    Args:
        correct: (N,) bool.
        confidence: (N,) in [0, 1]; with `minmax` anything, for example raw logits, as the released code has it.
        form: `signed` subtracts the confidence of a wrong prediction, `symmetric` adds one minus it.
        scale: `minmax` first stretches the values of these N cases to [0, 1]; a constant becomes 0.
    """
    return float(effective_confidence(correct, confidence, form=form, scale=scale).mean()) if len(correct) else nan


def effective_confidence(
    correct: Tensor,
    confidence: Tensor,
    *,
    form: Literal["signed", "symmetric"] = "signed",
    scale: Literal["none", "minmax"] = "none",
) -> Tensor:
    """(N,) what each case adds to `mean_effective_confidence`."""
    value = _stretched(confidence.double()) if scale == "minmax" else confidence.double()  # (N,)
    wrong = -value if form == "signed" else 1 - value
    return torch.where(correct, value, wrong)


def constant_confidence(correct: Tensor) -> float:
    """What a confidence of 1 everywhere scores: 2 accuracy - 1. A learned confidence has to beat it to be of use."""
    return float(2 * correct.double().mean() - 1) if len(correct) else nan


def _stretched(value: Tensor) -> Tensor:
    low, high = value.min(), value.max()
    return (value - low) / (high - low) if high - low > 1e-6 else torch.zeros_like(value)
