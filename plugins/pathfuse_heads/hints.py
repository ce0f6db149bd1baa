"""Learned confidence: the network may ask for the answer, and pays for asking.

Source: DeVries & Taylor 2018, arXiv:1802.04865, eq. 2 to 4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GUARD = 1e-12
"""Probabilities and confidences are kept this far from 0 and 1, so that no logarithm is infinite."""


def guarded(value: Tensor) -> Tensor:
    """The value within [1e-12, 1 - 1e-12]."""
    return value.clamp(GUARD, 1 - GUARD)


def draw_hints(confidence: Tensor, probability: float) -> Tensor:
    """(B,) 0 or 1: which cases may ask, drawn with torch's global generator."""
    return torch.bernoulli(torch.full_like(confidence, probability))


def hinted_confidence(confidence: Tensor, may_ask: Tensor) -> Tensor:
    """(B,) the confidence where a case may ask, else 1, which keeps its own prediction."""
    return confidence * may_ask + (1 - may_ask)


def hinted_probability(probability: Tensor, confidence: Tensor, target: Tensor) -> Tensor:
    """(B, C) a mixture of prediction and truth: c p + (1 - c) y.

    Args:
        probability: (B, C) class distribution.
        confidence: (B,) how much of it is kept.
        target: (B,) class index.
    """
    truth = F.one_hot(target, probability.shape[1]).to(probability.dtype)  # (B, C)
    kept = confidence[:, None]  # (B, 1)
    return kept * probability + (1 - kept) * truth


def cross_entropy(probability: Tensor, target: Tensor) -> Tensor:
    """(B,) minus the log probability of the target."""
    return -_of_target(probability, target).log()


def focal(probability: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """(B,) cross-entropy that fades where the target is already probable.

    Source: Lin et al. 2017, arXiv:1708.02002, eq. 4.
    """
    wanted = _of_target(probability, target)
    return -((1 - wanted) ** gamma) * wanted.log()


def asking_price(confidence: Tensor) -> Tensor:
    """(B,) minus the log confidence: what a case pays for asking."""
    return -guarded(confidence).log()


def _of_target(probability: Tensor, target: Tensor) -> Tensor:
    return guarded(probability).gather(1, target[:, None]).squeeze(1)
