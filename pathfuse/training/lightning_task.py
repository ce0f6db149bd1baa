"""The one LightningModule: trains, validates and tests the task of a stage."""

from __future__ import annotations

from collections.abc import Iterator

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from pathfuse.core import Batch
from pathfuse.errors import RecipeError
from pathfuse.inference.predictions import any_labelled, gathered
from pathfuse.inference.task import Step, Task, reseed
from pathfuse.training.means import Means
from pathfuse.training.rates import Optimised


class LightningTask(Optimised):
    """A task as Lightning trains it. Its weights are those of the task, and so are their names in a checkpoint.

    Args:
        task: built; it is trained in place.
        optimizer_factory: the recipe's optimiser.
        scheduler_factory: the recipe's schedule; None has none.

    Attributes:
        model: of the task.
        objective: of the task.
        means: of the epoch, per part, of what every step says; `LogsMeans` logs them.
    """

    def __init__(
        self, task: Task, optimizer_factory: OptimizerCallable, scheduler_factory: LRSchedulerCallable | None = None
    ) -> None:
        super().__init__(task.layer_decay, task.warmup_epochs, optimizer_factory, scheduler_factory)
        self.objective = task.objective
        self.model = task.model
        self.means = {"train": Means(), "val": Means()}
        self._task = (task,)  # a tuple: its weights are this module's own

    @property
    def task(self) -> Task:
        """What is trained."""
        return self._task[0]

    def on_fit_start(self) -> None:
        """Lets the objective see the validation part, once; all processes keep what the first one found."""
        self.objective.prepare(self._validation_batches())
        if self.trainer.world_size > 1:
            for known in self.objective.buffers(recurse=False):
                known.copy_(self.trainer.strategy.broadcast(known))

    def on_train_epoch_start(self) -> None:
        """Draws of an epoch depend on the seed and the epoch alone, so a resumed run repeats them."""
        reseed(self.task.seed + 1 + self.current_epoch + 100_003 * self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the loss terms of a batch."""
        return self._step(self.task.shown_in_training(batch), batch, "train").total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the loss of a batch and keeps its predictions for the metrics of the epoch."""
        task, shown = self.task, self.task.as_given(batch)
        prediction = self._step(shown, batch, "val").prediction
        if task.eval_bag_size:
            prediction = task.predicted(shown)
        if prediction.logits is not None:
            task.collect("val", shown, prediction)
            if task.select_on:
                task.predict_from(shown, task.select_on.split("+"), f"val/{task.select_on}")

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of all validation cases together, never the mean over batches.

        Raises:
            RecipeError: if no case has the stains to select on, or the metric to select by is not defined.
        """
        task = self.task
        found = gathered(task.collected)
        task.forget()
        for key, rows in found.items():
            metrics = task.measures.in_validation(rows.probabilities, rows.target, rows.confidence)
            # Later it would cost the epochs that are trained, and Lightning passes over an epoch of NaN by itself.
            if key == task.selected_by.removesuffix(f"/{task.select_by}") and self._begins():
                task.measures.refuse_undefined(metrics)
            self.log_dict({f"{key}/{name}": value for name, value in metrics.items()}, sync_dist=True)
        if task.select_on and "val" in found and not any_labelled(found.get(f"val/{task.select_on}")):
            raise RecipeError(
                f"model.select_on is {task.select_on}, but no labelled case of the validation part has all of these "
                "stains. Choose other stains, or null."
            )

    def on_test_epoch_start(self) -> None:
        """Forgets what was predicted before."""
        self.task.forget()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Predicts every case from every combination of the stains it has."""
        self.task.predict_subsets(batch)

    def on_test_epoch_end(self) -> None:
        """Brings the predictions of all ranks together."""
        self.task.collected = gathered(self.task.collected)

    def _validation_batches(self) -> Iterator[Batch]:
        for batch in self.trainer.datamodule.val_dataloader():  # type: ignore[attr-defined]
            yield batch.to(self.device)

    def _begins(self) -> bool:
        return self.current_epoch == 0 and self.trainer.state.fn == TrainerFn.FITTING

    def _step(self, shown: Batch, whole: Batch, part: str) -> Step:
        step = self.task.step(shown, whole)
        self.means[part].add(step.logged, len(shown))
        return step
