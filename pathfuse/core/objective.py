"""The objective: named terms of a step, and their weighted sum, which is minimised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from pathfuse.core.batch import Batch
from pathfuse.core.model import Model
from pathfuse.core.promises import check_figures, check_terms
from pathfuse.core.tokens import Prediction
from pathfuse.core.weights import Weighted
from pathfuse.errors import PluginError, RecipeError


@dataclass(frozen=True)
class Outcome:
    """One step.

    Attributes:
        terms: scalars to be minimised, by name.
        prediction: what the model said about the batch.
        metrics: scalars to be logged only.
    """

    terms: dict[str, Tensor]
    prediction: Prediction
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Objective(Weighted, nn.Module, ABC):
    """Decides what is computed in a step, for pipelines that need more than one pass through the model.

    Options of the recipe are keyword-only constructor arguments.

    Attributes:
        needs_labels: whether it learns from labels, whatever the head says; None asks the head.
        selected_by: of its metrics, the one whose highest validation value selects the epoch of a stage that another
            one stands on; None takes the loss.
    """

    needs_labels: ClassVar[bool | None] = None
    selected_by: str | None = None

    def prepare(self, validation: Iterable[Batch]) -> None:
        """What has to be known before the first step of a training, for example how sure a teacher may be.

        Args:
            validation: batches of the validation part, on the device of the model; read only if they are asked for.
        """

    @abstractmethod
    def losses(self, model: Model, batch: Batch) -> Outcome:
        """The loss terms of a batch, and its prediction."""

    def step(self, model: Model, shown: Batch, whole: Batch) -> Outcome:
        """The loss terms of a step in which the model is shown less than the cases have.

        It is `losses` of what is shown, unless an objective has a use for the rest, such as a teacher that sees it.

        Args:
            model: in training.
            shown: the batch as the recipe gives it to the model, with `given` and `modality_dropout` applied.
            whole: the same cases with every modality that they have. `model` may not be given it.
        """
        return self.losses(model, shown)

    def by_case(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        """Figures (B,) of every case beside the prediction, NaN where one has none; written of the test part.

        Args:
            model: in eval mode.
            batch: with every modality that the cases have.
        """
        return {}

    def pictures(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        """Images (B, 3, H, W) or maps (B, 1, H, W) of every case, for a few of which they are drawn side by side.

        Maps may have any range; a case without a picture has NaN. Arguments as in `by_case`.
        """
        return {}


def check_outcome(objective: Objective, outcome: object) -> None:
    """Whether an objective returned an `Outcome` with scalar terms.

    Raises:
        PluginError: naming the objective.
    """
    if not isinstance(outcome, Outcome):
        name = type(objective).__name__
        raise PluginError(f"{name} returns a {type(outcome).__name__}, and has to return an Outcome. Repair it.")
    check_terms(objective, outcome.terms)
    check_figures(objective, outcome.metrics)


class SupervisedObjective(Objective):
    """One pass: the fusion block's own loss and the head's. The default of every recipe."""

    def losses(self, model: Model, batch: Batch) -> Outcome:
        """The loss terms of a batch, and its prediction."""
        fused = model.fuse(batch)
        prediction = model.decide(fused)
        terms = {}
        for component, own in (
            (model.fusion, model.fusion.loss(fused, batch)),
            (model.head, model.head.loss(prediction, batch)),
        ):
            check_terms(component, own)
            terms.update(own)
        return Outcome(terms, prediction)


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of weight times term.

    Raises:
        RecipeError: if a term has no weight or a weight has no term; a silent 0 or 1 would hide a mistake.
    """
    if not terms:
        raise RecipeError("model.loss_weights: neither head, fusion block nor objective gives a loss term to learn by.")
    missing = sorted(set(terms) - set(weights))
    unknown = sorted(set(weights) - set(terms))
    if missing or unknown:
        problem = f"no weight for {', '.join(missing)}" if missing else f"no loss term is called {', '.join(unknown)}"
        raise RecipeError(f"model.loss_weights: {problem}. The terms of this recipe are {', '.join(sorted(terms))}.")
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
