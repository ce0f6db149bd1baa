"""Training that is no longer finite: stopped before its weights are kept, with the cases and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from pathfuse.core import Batch
from pathfuse.errors import NotFiniteError, listed
from pathfuse.runs.folder import RunFolder

CURES = (
    "Lower the learning rate (--optimizer.init_args.lr), clip gradients (--trainer.gradient_clip_val 1) or train with "
    "--trainer.precision 32-true, and choose another --out."
)


class StopsAtNonFinite(Callback):
    """Ends training with one line when the loss or a weight is no number.

    Args:
        run: the run folder.
        stage: name of the stage.
        tests: whether the model of this stage is the one that `pathfuse test` takes.
    """

    def __init__(self, run: RunFolder, stage: str, *, tests: bool) -> None:
        self.run = run
        self.stage = stage
        self.tests = tests
        self.cases: Sequence[str] = ()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Remembers whose loss comes next."""
        self.cases = batch.case_ids

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Looks at the loss before it reaches a weight.

        Raises:
            NotFiniteError: if it is not finite.
        """
        if not bool(torch.isfinite(loss.detach())):
            what = f"the loss is {float(loss.detach())} for {listed(self.cases)}"
            raise NotFiniteError(f"{self._where(trainer)}: {what}. {CURES}{self._kept()}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the weights after the last step of an epoch."""
        if not trainer.sanity_checking:
            self.on_train_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the weights before a checkpoint is written.

        Raises:
            NotFiniteError: if one is not finite.
        """
        for name, value in pl_module.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise NotFiniteError(f"{self._where(trainer)}: {name} is no longer finite. {CURES}{self._kept()}")

    def _where(self, trainer: Trainer) -> str:
        return f"stage {self.stage}, epoch {trainer.current_epoch + 1}"

    def _kept(self) -> str:
        kept = self.run.unfinished(self.stage)
        if kept is None:
            return " No epoch was finished."
        tested = f"; `pathfuse test {self.run.path}` tests the best of them" if self.tests else ""
        return f" The epochs before are kept in {Path(kept).parent}{tested}."
