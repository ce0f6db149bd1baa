"""The metrics of a task: those of every run, those that its recipe adds, and the one that selects the epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from torch import Tensor

from pathfuse.core import Metric
from pathfuse.core.promises import check_set
from pathfuse.errors import RecipeError, did_you_mean
from pathfuse.evaluate.metrics.standard import CALIBRATION, CLASSIFICATION, RESERVED, all_named

LOSS = "loss"


@dataclass(frozen=True)
class Measures:
    """What is measured of predictions in validation and test.

    Attributes:
        further: metrics that the recipe adds to ours.
        by: name of the number that selects the epoch; `loss` is the loss of the validation part.
        on: the subset of stains that it is taken from; None takes the cases as they are.
        selecting: the metric that gives this number; None for the loss.
        classes: class names.
    """

    further: tuple[Metric, ...]
    by: str
    on: str | None
    selecting: Metric | None
    classes: tuple[str, ...]

    @classmethod
    def of(cls, named: Sequence[Metric], by: str, on: str | None, classes: tuple[str, ...]) -> Measures:
        """What a recipe asks for.

        Args:
            named: `model.metrics`; one of ours may be among them, which changes nothing.
            by: `model.select_by`.
            on: `model.select_on`.
            classes: class names.

        Raises:
            RecipeError: if two metrics give the same name, or none gives that of `by`.
            PluginError: if one has no `key`.
        """
        ours = (*CLASSIFICATION, *CALIBRATION)
        further = tuple(metric for metric in named if type(metric) not in map(type, ours))
        for metric in further:
            if type(metric).names is Metric.names:  # those of several numbers need no `key`
                check_set(metric)
        _refuse_equal_names((*ours, *further), classes)
        giving = {name: metric for metric in (*ours, *further) for name in metric.names(classes)}
        if by != LOSS and by not in giving:
            raise RecipeError(
                f"model.select_by is {by!r}, and no metric of this run gives that.{did_you_mean(by, [LOSS, *giving])} "
                "Choose a name as in metrics.json; a further metric has to be named in model.metrics first."
            )
        if by == LOSS and on:
            raise RecipeError(
                "model.select_by is loss, which is that of every case as it is: set model.select_on to null, or select "
                "by a metric."
            )
        return cls(further, by, on, giving.get(by), classes)

    @property
    def selected_by(self) -> str:
        """The validation metric whose best epoch is kept, as it is logged."""
        return f"val/{self.on}/{self.by}" if self.on else f"val/{self.by}"

    @property
    def higher(self) -> bool:
        """Whether more of it is better."""
        return self.selecting is not None and self.selecting.higher

    @property
    def keys(self) -> tuple[str, ...]:
        """The main numbers of the metrics that the recipe adds."""
        return tuple(metric.names(self.classes)[0] for metric in self.further)

    def in_validation(self, prob: Tensor, target: Tensor, confidence: Tensor | None) -> dict[str, float]:
        """After an epoch: ours, the recipe's, and the one that selects."""
        shown = (*CLASSIFICATION, *self.further)
        beside = () if self.selecting is None or self.selecting in shown else (self.selecting,)
        return all_named((*shown, *beside), prob, target, confidence, self.classes)

    def in_test(self, prob: Tensor, target: Tensor, confidence: Tensor | None) -> dict[str, float]:
        """Ours but for calibration errors, which have a place of their own."""
        return all_named(CLASSIFICATION, prob, target, confidence, self.classes)

    def beside_ours(self, prob: Tensor, target: Tensor, confidence: Tensor | None) -> dict[str, float]:
        """Those of the recipe alone."""
        return all_named(self.further, prob, target, confidence, self.classes)

    def refuse_undefined(self, found: dict[str, float]) -> None:
        """Refuses to select by what is not defined, though the predictions are fit to be measured.

        Raises:
            RecipeError: saying why, as the metric does.
        """
        if self.selecting is None or not isnan(found[self.by]) or isnan(found["accuracy"]):
            return
        why = f": {self.selecting.undefined}" if self.selecting.undefined else ""
        raise RecipeError(
            f"model.select_by is {self.by}, which is not defined on the validation part{why}. Select by another metric."
        )


def _refuse_equal_names(metrics: Sequence[Metric], classes: tuple[str, ...]) -> None:
    givers: dict[str, str] = {}
    for metric in metrics:
        kind = type(metric).__name__
        for name in metric.names(classes):
            if name.partition("/")[0] in RESERVED:
                raise RecipeError(f"model.metrics: {kind} gives {name!r}, a name that every run uses. Rename its key.")
            other = givers.setdefault(name, kind)
            if other != kind:
                raise RecipeError(f"model.metrics: {kind} and {other} both give {name!r}. Leave one of them out.")
    repeated = [kind for kind, count in Counter(type(metric).__name__ for metric in metrics).items() if count > 1]
    if repeated:
        raise RecipeError(f"model.metrics names {repeated[0]} twice. Leave one of them out.")
