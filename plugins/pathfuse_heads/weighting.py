"""Weights of cases in a classification loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

ClassWeight = Literal["none", "inverse"]
Divisor = Literal["weights", "cases"]


def class_weights(counts: tuple[int, ...], kind: ClassWeight) -> Tensor:
    """(C,) weight per class: all 1, or 1 / count scaled to sum 1.

    A class without a training case gets 0: any other value would set the scale of all the others.
    """
    if kind == "none" or not any(counts):
        return torch.ones(len(counts))
    inverse = torch.tensor([1 / count if count else 0.0 for count in counts], dtype=torch.float64)
    return (inverse / inverse.sum()).to(torch.get_default_dtype())


def counted_target(target: Tensor, present: Tensor) -> Tensor:
    """(B,) the class of cases that count, -1 for those without a label or without anything to predict from."""
    return torch.where(present, target, target.new_full((), -1))


def weighted_mean(loss: Tensor, target: Tensor, weight: Tensor, divisor: Divisor) -> Tensor:
    """The mean over cases with target >= 0 of weight[target] * loss.

    Args:
        loss: (B,) loss of every case; those with target -1 are not read.
        target: (B,) class index or -1.
        weight: (C,) weight per class.
        divisor: `weights` divides by the sum of the weights, `cases` by the number of cases.

    Returns:
        A scalar; 0, still attached to the graph, if no case counts.
    """
    counts = target >= 0
    case_weight = torch.where(counts, weight.to(loss.dtype)[target.clamp(min=0)], loss.new_zeros(()))  # (B,)
    total = (case_weight * torch.where(counts, loss, loss.new_zeros(()))).sum()
    return total / size(case_weight, counts, divisor)


def size(case_weight: Tensor, counts: Tensor, divisor: Divisor) -> Tensor:
    """What a weighted sum is divided by; never 0."""
    summed = case_weight.sum() if divisor == "weights" else counts.sum().to(case_weight.dtype)
    return torch.where(summed > 0, summed, torch.ones_like(summed))
