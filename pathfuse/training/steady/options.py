"""Options that make training steadier, a key of every recipe."""

from __future__ import annotations

from dataclasses import dataclass

from lightning.pytorch import Callback

from pathfuse.errors import RecipeError
from pathfuse.training.steady.averages import AveragedWeights
from pathfuse.training.steady.statistics import RecomputedStatistics


@dataclass(frozen=True)
class Steady:
    """Which weights are validated, selected, saved and tested; training itself is the same with and without.

    Args:
        average: what a moving average of the weights keeps of itself at each step, such as 0.98, which remembers
            about fifty steps; null takes the weights as the last step left them.
        statistics: mean and variance of batch norm are taken anew before each validation, from at most so many
            training batches; null keeps the running ones, which lag behind the weights.
    """

    average: float | None = None
    statistics: int | None = None

    def __post_init__(self) -> None:
        if self.average is not None and not 0 < self.average < 1:
            raise RecipeError(f"steady.average is {self.average}; give a share between 0 and 1, or null.")
        if self.statistics is not None and self.statistics < 1:
            raise RecipeError(f"steady.statistics is {self.statistics}; give 1 batch or more, or null.")

    def callbacks(self) -> list[Callback]:
        """In this order, so that the statistics are those of the averaged weights."""
        averaged = [] if self.average is None else [AveragedWeights(decay=self.average)]
        recomputed = [] if self.statistics is None else [RecomputedStatistics(batches=self.statistics)]
        return [*averaged, *recomputed]
