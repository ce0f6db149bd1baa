"""The task of a stage: the model built from the slots of a recipe, its loss, and predictions of cases."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pathfuse.core import (
    Batch,
    DataSpec,
    Encoder,
    FusedSpec,
    Fusion,
    Head,
    Metric,
    Model,
    Objective,
    Prediction,
    SupervisedObjective,
    TokenSpec,
    weighted_total,
)
from pathfuse.core.objective import check_outcome
from pathfuse.core.promises import check_set
from pathfuse.core.subsets import availability_subsets, drop_at_random, subset_name
from pathfuse.errors import RecipeError
from pathfuse.evaluate.metrics.measures import Measures
from pathfuse.inference.in_bags import predict_in_bags
from pathfuse.inference.predictions import Predictions, rows_of


class Step(NamedTuple):
    """What a step of training or validation computes.

    Attributes:
        total: the weighted sum of the loss terms.
        logged: the terms, the total and the figures of the step.
        prediction: of the cases.
    """

    total: Tensor
    logged: dict[str, Tensor]
    prediction: Prediction


class Task(nn.Module):
    """The fixed task of every recipe; what differs between recipes are its slots.

    It knows no Lightning: `pathfuse.training` wraps it in a LightningModule where it is trained.

    Args:
        encoder: turns the stains of a case into tokens.
        fusion: joins the tokens of a case.
        head: predicts from the joint embedding.
        loss_weights: weight of every loss term, by name; a term without a weight is an error.
        objective: decides what is computed in a step; null computes the fusion's and the head's own loss.
        given: stains the model is given in training, validation and prediction; null gives all. The test always
            reports every combination of the stains that the model reads.
        modality_dropout: probability, by stain, that it is hidden from a training case; the last stain of a case is
            never hidden.
        layer_decay: factor of the learning rate from one group of backbone layers to the one before it, counted from
            the output; 0.8 is usual for fine-tuning. Null trains all layers alike.
        warmup_epochs: epochs in which the learning rate rises from zero, step by step; the schedule goes on under it.
        select_on: stains, such as `he` or `he+ihc`, from which the validation cases that have them are predicted to
            select the epoch; null selects on every case as it is.
        metrics: further metrics, by class name, beside those that every run reports; they are logged in validation and
            stand in `metrics.json`.
        select_by: the number of the validation part whose best epoch is kept, by its name in `metrics.json`, or `loss`.
        eval_bag_size: in validation metrics, test and prediction, the patches of a case are dealt out among bags of at
            most so many, and the mean of their class distributions is the case's; null makes one bag of them. The loss
            of the validation part and maps are always of one bag.
        target_risk: share of errors that is acceptable among the cases that the model does not abstain from.
        set_coverage: share of patients whose truth a prediction set has to hold.
        abstain_by: the confidence that decides on abstaining: the highest probability after calibration (`softmax`),
            the one that the head has `learned`, or both `combined`.
    """

    model: Model
    measures: Measures

    def __init__(
        self,
        encoder: Callable[[DataSpec], Encoder],
        fusion: Callable[[dict[str, TokenSpec], DataSpec], Fusion],
        head: Callable[[FusedSpec, DataSpec], Head],
        loss_weights: dict[str, float],
        objective: Objective | None = None,
        given: list[str] | None = None,
        modality_dropout: dict[str, float] | None = None,
        layer_decay: float | None = None,
        warmup_epochs: int = 0,
        select_on: str | None = None,
        metrics: list[Metric] | None = None,
        select_by: str = "balanced_accuracy",
        eval_bag_size: int | None = None,
        target_risk: float = 0.1,
        set_coverage: float = 0.9,
        abstain_by: Literal["softmax", "learned", "combined"] = "softmax",
    ) -> None:
        super().__init__()
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise RecipeError(f"model.layer_decay is {layer_decay}; give a factor above 0, at most 1, or null.")
        if warmup_epochs < 0:
            raise RecipeError(f"model.warmup_epochs is {warmup_epochs}; give 0 or more.")
        if eval_bag_size is not None and eval_bag_size < 1:
            raise RecipeError(f"model.eval_bag_size is {eval_bag_size}; give 1 or more, or null for one bag.")
        if not 0 <= target_risk < 1:
            raise RecipeError(f"model.target_risk is {target_risk}; give a share of errors from 0 to below 1.")
        if not 0 < set_coverage < 1:
            raise RecipeError(f"model.set_coverage is {set_coverage}; give a share of patients between 0 and 1.")
        self.slots = (encoder, fusion, head)
        self.loss_weights = loss_weights
        self.objective = objective or SupervisedObjective()
        check_set(self.objective)
        self.given = given
        self.layer_decay = layer_decay
        self.warmup_epochs = warmup_epochs
        self.modality_dropout = modality_dropout or {}
        self.select_on = select_on
        self.metrics = metrics or []
        self.select_by = select_by
        self.eval_bag_size = eval_bag_size
        self.target_risk = target_risk
        self.set_coverage = set_coverage
        self.abstain_by = abstain_by
        self.seed = 0
        self.collected: dict[str, Predictions] = {}

    def build(self, spec: DataSpec, seed: int = 0) -> Task:
        """Makes the model for these sizes; weights are drawn from `seed`.

        Raises:
            RecipeError: if `given` or `modality_dropout` names a stain that the data or the model does not have,
                `eval_bag_size` is set and there are no bags, or no metric gives the number to select by.
        """
        reseed(seed)
        make_encoder, make_fusion, make_head = self.slots
        encoder = make_encoder(spec)
        check_set(encoder)
        fusion = make_fusion(encoder.out, spec)
        check_set(fusion)
        self.model = Model(encoder, fusion, make_head(fusion.out, spec), spec)
        self.measures = Measures.of(self.metrics, self.select_by, self.select_on, spec.classes)
        self.seed = seed
        if self.eval_bag_size and not any(modality.in_bags for modality in spec.modalities):
            raise RecipeError("model.eval_bag_size cuts bags, and these cases have none. Set it to null.")
        self._refuse_unread()
        return self

    @property
    def selected_by(self) -> str:
        """The validation metric whose best epoch is kept; a part without labels has none."""
        return self.measures.selected_by

    @property
    def spec(self) -> DataSpec:
        """What the model was built for."""
        if self.model.spec is None:
            raise RuntimeError("the model of a task is always built with its spec")
        return self.model.spec

    def forget(self) -> None:
        """Forgets what was predicted before: a task may predict one part after the other."""
        self.collected = {}

    def step(self, shown: Batch, whole: Batch) -> Step:
        """Loss terms and predictions of a batch.

        Args:
            shown: what the model is shown.
            whole: the batch as it is.
        """
        outcome = self.objective.step(self.model, shown, whole)
        check_outcome(self.objective, outcome)
        total = weighted_total(outcome.terms, self.loss_weights)
        return Step(total, {"loss": total.detach(), **outcome.terms, **outcome.metrics}, outcome.prediction)

    def as_given(self, batch: Batch) -> Batch:
        """A batch with the stains that the model is given."""
        return batch if self.given is None else batch.keep(*self.given)

    def shown_in_training(self, batch: Batch) -> Batch:
        """What the model is shown of a training batch: the stains it is given, less what is hidden at random."""
        shown = self.as_given(batch)
        return drop_at_random(shown, self.modality_dropout) if self.modality_dropout else shown

    def predict_subsets(self, batch: Batch) -> None:
        """Predicts every case from every combination of the stains it has."""
        for subset in availability_subsets(self.model.reads):
            self.predict_from(batch, subset, subset_name(subset))

    def predict_given(self, batch: Batch) -> Prediction:
        """Predicts every case from the stains it has, among those the model was trained to be given."""
        shown = self.as_given(batch)
        prediction = self.predicted(shown)
        names = [subset_name([m for m in self.model.reads if bool(shown.present[m][row])]) for row in range(len(batch))]
        for name in dict.fromkeys(names):
            rows = torch.tensor([row for row, own in enumerate(names) if own == name])
            if name:
                self.collect(name, shown.select(rows), rows_of(prediction, rows))
        return prediction

    def predict_from(self, batch: Batch, subset: Sequence[str], key: str) -> None:
        """Predicts the cases that have all of some stains from these alone, and keeps the predictions under a key."""
        has_all = torch.stack([batch.present[modality] for modality in subset]).all(0)
        rows = has_all.nonzero().flatten()
        if len(rows):
            shown = batch.keep(*subset).select(rows)
            self.collect(key, shown, self.predicted(shown))

    def predicted(self, batch: Batch) -> Prediction:
        """What the model says, in the bags that the recipe wants."""
        if self.eval_bag_size:
            return predict_in_bags(self.model, batch, self.eval_bag_size)
        prediction: Prediction = self.model(batch)
        return prediction

    def collect(self, key: str, batch: Batch, prediction: Prediction) -> None:
        """Keeps predictions under a key."""
        rows = Predictions.of(batch, prediction)
        self.collected[key] = self.collected[key] + rows if key in self.collected else rows

    def _refuse_unread(self) -> None:
        """Refuses a modality in an option that the model does not read."""
        stains = tuple(self.select_on.split("+")) if self.select_on else ()
        lists = (("given", self.given or ()), ("modality_dropout", self.modality_dropout), ("select_on", stains))
        for key, named in lists:
            for modality in named:
                if modality not in self.model.reads:
                    raise RecipeError(
                        f"model.{key} names {modality!r}, but this model reads {', '.join(self.model.reads)}."
                    )


def reseed(seed: int) -> None:
    """Fixes every generator that a step may draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
