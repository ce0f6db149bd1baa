"""Metrics of torchmetrics for several classes, beside those that every run has."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Literal

import torchmetrics
from torch import Tensor
from torchmetrics import classification

from pathfuse.core import Metric
from pathfuse.errors import RecipeError, did_you_mean

PREFIX = "Multiclass"
UNSAID = ("NegativePredictiveValue", "Specificity")
"""More is better, which torchmetrics does not say of these."""
Made = Callable[..., torchmetrics.Metric]


class TorchMetrics(Metric):
    """Numbers of torchmetrics from all labelled cases together, by probability or by the likeliest class.

    A class that no case has counts as torchmetrics has it. Intervals are not drawn; those of our own metrics are.

    Source: torchmetrics, `torchmetrics.classification.Multiclass*`.

    Args:
        metrics: names without `Multiclass`, such as `Specificity` or `JaccardIndex`; files call them `specificity` and
            `jaccard_index`. Where less is better, or more than the number of classes has to be given, is none of them.
        average: over the classes, where a metric has one value for each.

    Raises:
        RecipeError: for a name that is none of them.
    """

    key = "specificity"
    undefined = "torchmetrics gives no number for these cases"

    def __init__(
        self, *, metrics: Sequence[str] = ("Specificity",), average: Literal["macro", "weighted", "micro"] = "macro"
    ) -> None:
        for name in metrics:
            if name not in _known():
                guess = did_you_mean(name, _known()) or f" Known: {', '.join(_known())}."
                raise RecipeError(f"{name!r} is no number of torchmetrics that can be taken here.{guess}")
        if not metrics:
            raise RecipeError(f"TorchMetrics has no metric to measure. Name one of {', '.join(_known())}.")
        self.metrics = tuple(dict.fromkeys(metrics))
        self.average = average

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The names in words with underscores."""
        return tuple(map(_snake, self.metrics))

    def measure(self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]) -> float:
        """The first of the numbers."""
        return self._value(self.metrics[0], prob, target)

    def named(
        self, prob: Tensor, target: Tensor, confidence: Tensor | None, classes: Sequence[str]
    ) -> dict[str, float]:
        """All of them, of probabilities (N, C) and classes (N,)."""
        return {_snake(name): self._value(name, prob, target) if len(target) else float("nan") for name in self.metrics}

    def _value(self, name: str, prob: Tensor, target: Tensor) -> float:
        kind = _known()[name]
        options = {"average": self.average} if "average" in signature(kind).parameters else {}
        made = kind(num_classes=prob.shape[1], **options)
        with warnings.catch_warnings():
            # It warns of a class without cases, which the page of a run says with the number of cases.
            warnings.simplefilter("ignore", UserWarning)
            return float(made(prob, target))


@cache
def _known() -> Mapping[str, Made]:
    """Those that the number of classes is enough for, that give one number, and where more is better."""
    found: dict[str, Made] = {}
    for name in sorted(vars(classification)):
        kind = getattr(classification, name)
        short = name.removeprefix(PREFIX)
        if short == name or not (kind.higher_is_better or short in UNSAID):
            continue
        options = signature(kind).parameters
        needed = {name for name, own in options.items() if own.default is own.empty and own.kind is not own.VAR_KEYWORD}
        if "num_classes" in options and needed <= {"num_classes"}:
            found[short] = kind
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
