"""Exponential average of the weights over the steps of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]


class AveragedWeights(WeightAveraging):
    """Validates, selects, saves and tests a moving average of the weights; those that are trained go on beside it.

    After step n the average keeps `min(decay, (1 + n) / (10 + n))` of itself, so that the first weights, which are
    random, do not linger. Buffers such as the statistics of batch norm are averaged alike; counters are the last ones.

    Args:
        decay: what the average keeps of itself in the long run; 0.98 remembers about fifty steps.

    Source: Tarvainen & Valpola 2017, arXiv:1703.01780, for the average; the slow start is that of TensorFlow's
        `ExponentialMovingAverage`.
    """

    def __init__(self, *, decay: float) -> None:
        super().__init__(multi_avg_fn=averaging(decay))


def averaging(decay: float) -> MultiAverage:
    """The update of all averages at once, in place."""

    @torch.no_grad()
    def update(averages: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        n = int(steps)
        keep = min(decay, (1 + n) / (10 + n))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value.to(average), 1 - keep)
            else:
                average.copy_(value)

    return update
