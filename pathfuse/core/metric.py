"""The contract of a metric: predictions of labelled cases to a number, or to several that have names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import nan
from typing import ClassVar

import torch
from torch import Tensor

from pathfuse.errors import PluginError


class Metric(ABC):
    """Says in a number how good predictions are. Options of the recipe are keyword-only constructor arguments.

    A subclass sets `key` and writes `measure`, which is asked about labelled cases only, and never about none.

    Attributes:
        key: what files, logs and tables call the number, such as `balanced_accuracy`.
        higher: whether more is better.
        undefined: when the number is NaN though there are cases, in words; empty if never.
    """

    key: ClassVar[str]
    higher: ClassVar[bool] = True
    undefined: ClassVar[str] = ""

    @abstractmethod
    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The number.

        Args:
            prob: (N, C) float64 class distribution, on the CPU.
            target: (N,) class index, no -1 among them.
            confidence: (N,) float64 learned confidence; None where none was learned.
            classes: the C class names.
        """

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """What the metric gives for these classes; more than `key` where it gives several numbers."""
        return (self.key,)

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """All its numbers, under `names`; arguments as in `measure`, but there may be no case."""
        if not len(target):
            return {self.key: nan}
        found = self.measure(prob, target, confidence, classes)
        try:
            return {self.key: float(found)}
        except (TypeError, ValueError, RuntimeError) as error:
            name, shape = type(self).__name__, f" of {tuple(found.shape)}" if isinstance(found, Tensor) else ""
            raise PluginError(
                f"{name} returns a {type(found).__name__}{shape}, and has to return one number. Repair its `measure`."
            ) from error

    def __call__(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None = None, classes: Sequence[str] = ()
    ) -> dict[str, float]:
        """The numbers of any predictions; those of a network that diverged say nothing, as if there were no case.

        Args:
            prob: (N, C) class distribution, of any precision and on any device.
            target: (N,) class index; cases with -1 are left out.
            confidence: (N,) learned confidence, or None.
            classes: the C class names; their numbers if not given.
        """
        known = (target >= 0).cpu()
        prob = prob.detach().double().cpu()[known]  # (N', C)
        target = target.cpu()[known]  # (N',)
        sure = None if confidence is None else confidence.detach().double().cpu()[known]  # (N',)
        finite = bool(torch.isfinite(prob).all()) and (sure is None or bool(torch.isfinite(sure).all()))
        if not finite:
            prob, target, sure = prob[:0], target[:0], None if sure is None else sure[:0]
        return self.named(prob, target, sure, classes or tuple(map(str, range(prob.shape[1]))))
