"""Batch statistics recomputed on the training part before they are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from pathfuse.core import Batch
from pathfuse.training.lightning_task import LightningTask


class RecomputedStatistics(Callback):
    """Recomputes the mean and variance of batch norm from training batches before each validation.

    In training they are a running average over weights that no longer are. With a high learning rate or few steps in
    an epoch they lag, and validation swings. Here they are the mean over batches of the weights as they stand. The
    checkpoints, written after validation, hold the same ones. Layers in eval mode, frozen ones, keep theirs. Draws of
    the passes do not touch those of training.

    Behind `AveragedWeights` in the list of callbacks, they are those of the averaged weights.

    Args:
        batches: at most so many training batches, those that the epoch began with.

    Source: Izmailov et al. 2018, arXiv:1803.05407, section 3.2, for averaged weights; Wu & Johnson 2021,
        arXiv:2105.07576, section 3, for any.
    """

    def __init__(self, *, batches: int) -> None:
        self.batches = batches
        self._loader: DataLoader[Batch] | None = None
        self._trained: list[_BatchNorm] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes which layers are trained."""
        self._trained = [layer for layer in _layers(pl_module) if layer.training]

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Recomputes them for the weights that are about to be validated."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._recompute(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Recomputes them where there is no validation part."""
        if not trainer.enable_validation:
            self._recompute(trainer, pl_module)

    def _recompute(self, trainer: Trainer, task: LightningModule) -> None:
        assert isinstance(task, LightningTask)
        if not self._trained:
            return
        if self._loader is None:
            self._loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        sums = [torch.zeros(2, layer.num_features, dtype=torch.float64) for layer in self._trained]
        count = 0
        with isolate_rng(), _only_statistics(task, self._trained), torch.no_grad():
            for batch in islice(self._loader, self.batches):
                whole = batch.to(task.device)
                task.objective.step(task.model, task.task.shown_in_training(whole), whole)
                for total, layer in zip(sums, self._trained, strict=True):
                    total += torch.stack(_of(layer)).double().cpu()
                count += 1
        for total, layer in zip(sums, self._trained, strict=True):
            mean = trainer.strategy.reduce((total / count).to(task.device), reduce_op="mean")
            for kept, value in zip(_of(layer), mean, strict=True):
                kept.copy_(value)


def _layers(task: LightningModule) -> list[_BatchNorm]:
    return [layer for layer in task.modules() if isinstance(layer, _BatchNorm) and layer.running_mean is not None]


def _of(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None and layer.running_var is not None
    return layer.running_mean, layer.running_var


@contextmanager
def _only_statistics(task: LightningTask, layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """Within the block these layers keep the statistics of the last batch; all else is in eval mode."""
    modes = {module: module.training for module in task.modules()}
    before: list[tuple[_BatchNorm, float | None, Any]] = [
        (layer, layer.momentum, None if layer.num_batches_tracked is None else layer.num_batches_tracked.clone())
        for layer in layers
    ]
    task.eval()
    for layer in layers:
        layer.train()
        layer.momentum = 1.0
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for layer, momentum, tracked in before:
            layer.momentum = momentum
            if tracked is not None and layer.num_batches_tracked is not None:
                layer.num_batches_tracked.copy_(tracked)
