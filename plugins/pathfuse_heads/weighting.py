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
    weighted = case_weights(target, weight.to(loss.dtype)) * torch.where(target >= 0, loss, loss.new_zeros(()))
    total = weighted.sum()
    return total / size(target, weight.to(loss.dtype), divisor)


def case_weights(target: Tensor, weight: Tensor) -> Tensor:
    """(B,) the weight of every case's class, 0 of a case with target -1."""
    return torch.where(target >= 0, weight[target.clamp(min=0)], weight.new_zeros(()))


def size(target: Tensor, weight: Tensor, divisor: Divisor) -> Tensor:
    """What a sum over cases, weighted by their class, is divided by; never 0."""
    summed = case_weights(target, weight).sum() if divisor == "weights" else (target >= 0).sum().to(weight.dtype)
    return torch.where(summed > 0, summed, torch.ones_like(summed))
