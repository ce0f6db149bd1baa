"""The one LightningModule: builds the model from the slots of a recipe, sums the loss, collects predictions."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

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
from pathfuse.core.subsets import availability_subsets, drop_at_random, subset_name
from pathfuse.errors import RecipeError
from pathfuse.evaluate.metrics.measures import Measures
from pathfuse.training.in_bags import predict_in_bags
from pathfuse.training.predictions import Predictions, any_labelled, gathered, rows_of
from pathfuse.training.rates import Optimised


class Task(Optimised):
    """The fixed task of every recipe; what differs between recipes are its slots.

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
        super().__init__(layer_decay, warmup_epochs)
        if eval_bag_size is not None and eval_bag_size < 1:
            raise RecipeError(f"model.eval_bag_size is {eval_bag_size}; give 1 or more, or null for one bag.")
        if not 0 <= target_risk < 1:
            raise RecipeError(f"model.target_risk is {target_risk}; give a share of errors from 0 to below 1.")
        if not 0 < set_coverage < 1:
            raise RecipeError(f"model.set_coverage is {set_coverage}; give a share of patients between 0 and 1.")
        self.slots = (encoder, fusion, head)
        self.loss_weights = loss_weights
        self.objective = objective or SupervisedObjective()
        self.given = given
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
        fusion = make_fusion(encoder.out, spec)
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

    def on_fit_start(self) -> None:
        """Lets the objective see the validation part, once; all processes keep what the first one found."""
        self.objective.prepare(self._validation_batches())
        if self.trainer.world_size > 1:
            for known in self.objective.buffers(recurse=False):
                known.copy_(self.trainer.strategy.broadcast(known))

    def on_train_epoch_start(self) -> None:
        """Draws of an epoch depend on the seed and the epoch alone, so a resumed run repeats them."""
        reseed(self.seed + 1 + self.current_epoch + 100_003 * self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the loss terms of a batch."""
        return self._step(self.shown_in_training(batch), batch, "train")[0]

    def shown_in_training(self, batch: Batch) -> Batch:
        """What the model is shown of a training batch: the stains it is given, less what is hidden at random."""
        shown = self._as_given(batch)
        return drop_at_random(shown, self.modality_dropout) if self.modality_dropout else shown

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs the loss of a batch and keeps its predictions for the metrics of the epoch."""
        shown = self._as_given(batch)
        _, prediction = self._step(shown, batch, "val")
        if self.eval_bag_size:
            prediction = self._predicted(shown)
        if prediction.logits is not None:
            self._collect("val", shown, prediction)
            if self.select_on:
                self._predict_from(shown, self.select_on.split("+"), f"val/{self.select_on}")

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of all validation cases together, never the mean over batches.

        Raises:
            RecipeError: if no case has the stains to select on, or the metric to select by is not defined.
        """
        found = gathered(self.collected)
        self.collected = {}
        for key, rows in found.items():
            metrics = self.measures.in_validation(rows.probabilities, rows.target, rows.confidence)
            # Later it would cost the epochs that are trained, and Lightning passes over an epoch of NaN by itself.
            if key == self.selected_by.removesuffix(f"/{self.select_by}") and self._begins():
                self.measures.refuse_undefined(metrics)
            self.log_dict({f"{key}/{name}": value for name, value in metrics.items()}, sync_dist=True)
        if self.select_on and "val" in found and not any_labelled(found.get(f"val/{self.select_on}")):
            raise RecipeError(
                f"model.select_on is {self.select_on}, but no labelled case of the validation part has all of these "
                "stains. Choose other stains, or null."
            )

    def on_test_epoch_start(self) -> None:
        """Forgets what was predicted before: a task may be tested on one part after the other."""
        self.collected = {}

    on_predict_epoch_start = on_test_epoch_start

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Predicts every case from every combination of the stains it has."""
        for subset in availability_subsets(self.model.reads):
            self._predict_from(batch, subset, subset_name(subset))

    def on_test_epoch_end(self) -> None:
        """Brings the predictions of all ranks together."""
        self.collected = gathered(self.collected)

    on_predict_epoch_end = on_test_epoch_end

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        """Predicts every case from the stains it has, among those the model was trained to be given."""
        shown = self._as_given(batch)
        prediction = self._predicted(shown)
        names = [subset_name([m for m in self.model.reads if bool(shown.present[m][row])]) for row in range(len(batch))]
        for name in dict.fromkeys(names):
            rows = torch.tensor([row for row, own in enumerate(names) if own == name])
            if name:
                self._collect(name, shown.select(rows), rows_of(prediction, rows))
        return prediction

    def _validation_batches(self) -> Iterator[Batch]:
        for batch in self.trainer.datamodule.val_dataloader():  # type: ignore[attr-defined]
            yield batch.to(self.device)

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

    def _begins(self) -> bool:
        return self.current_epoch == 0 and self.trainer.state.fn == TrainerFn.FITTING

    def _as_given(self, batch: Batch) -> Batch:
        return batch if self.given is None else batch.keep(*self.given)

    def _predict_from(self, batch: Batch, subset: Sequence[str], key: str) -> None:
        has_all = torch.stack([batch.present[modality] for modality in subset]).all(0)
        rows = has_all.nonzero().flatten()
        if len(rows):
            shown = batch.keep(*subset).select(rows)
            self._collect(key, shown, self._predicted(shown))

    def _predicted(self, batch: Batch) -> Prediction:
        if self.eval_bag_size:
            return predict_in_bags(self.model, batch, self.eval_bag_size)
        prediction: Prediction = self.model(batch)
        return prediction

    def _step(self, shown: Batch, whole: Batch, part: str) -> tuple[Tensor, Prediction]:
        outcome = self.objective.step(self.model, shown, whole)
        total = weighted_total(outcome.terms, self.loss_weights)
        logged = {"loss": total.detach(), **outcome.terms, **outcome.metrics}
        self.log_dict(
            {f"{part}/{name}": value for name, value in logged.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(shown),
            sync_dist=True,
        )
        return total, outcome.prediction

    def _collect(self, key: str, batch: Batch, prediction: Prediction) -> None:
        rows = Predictions.of(batch, prediction)
        self.collected[key] = self.collected[key] + rows if key in self.collected else rows


def reseed(seed: int) -> None:
    """Fixes every generator that a step may draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
