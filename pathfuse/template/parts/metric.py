"""A metric: how many classes a prediction is off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pathfuse.core import Metric


class TinyMetric(Metric):
    """How many classes the likeliest one is off, on average; for classes that have an order.

    Args:
        missed: price of one class too low against one too high.
    """

    key = "tiny_metric"
    higher = False

    def __init__(self, *, missed: float = 1.0) -> None:
        self.missed = missed

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The mean price, of probabilities (N, C) and classes (N,)."""
        apart = (prob.argmax(1) - target).double()  # (N,)
        return float(torch.where(apart < 0, -self.missed * apart, apart).mean())
