"""Mean effective confidence: is the model sure where it is right and unsure where it is wrong?

Source: Corr-A-Net (Dutta et al. 2025), eq. 9.
"""

from __future__ import annotations

from math import nan
from typing import Literal

import torch
from torch import Tensor

from pathfuse.evaluate.metrics.strata import BORDERS, STRATA

__all__ = [
    "BORDERS",
    "STRATA",
    "constant_confidence",
    "mean_effective_confidence",
    "strata_accuracy",
    "strata_sizes",
    "stratum",
]


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
    if not len(correct):
        return nan
    value = _stretched(confidence.double()) if scale == "minmax" else confidence.double()  # (N,)
    wrong = -value if form == "signed" else 1 - value
    return float(torch.where(correct, value, wrong).mean())


def constant_confidence(correct: Tensor) -> float:
    """What a confidence of 1 everywhere scores: 2 accuracy - 1. A learned confidence has to beat it to be of use."""
    return float(2 * correct.double().mean() - 1) if len(correct) else nan


def stratum(confidence: Tensor, borders: tuple[float, ...] = BORDERS) -> Tensor:
    """(N,) long: 0 is the stratum of least confidence; a value on a border belongs to the upper one."""
    return torch.bucketize(confidence, torch.tensor(borders, dtype=confidence.dtype), right=True)


def strata_sizes(confidence: Tensor, borders: tuple[float, ...] = BORDERS) -> Tensor:
    """(S,) long: cases per stratum, from least to most confidence."""
    return torch.bincount(stratum(confidence, borders), minlength=len(borders) + 1)


def strata_accuracy(correct: Tensor, confidence: Tensor, borders: tuple[float, ...] = BORDERS) -> Tensor:
    """(S,) accuracy per stratum; NaN where it is empty."""
    sizes = strata_sizes(confidence, borders)
    right = torch.bincount(stratum(confidence, borders), weights=correct.double(), minlength=len(borders) + 1)
    return right / sizes


def _stretched(value: Tensor) -> Tensor:
    low, high = value.min(), value.max()
    return (value - low) / (high - low) if high - low > 1e-6 else torch.zeros_like(value)
