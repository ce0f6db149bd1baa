"""Means over the cases of an epoch of what its steps say, which Lightning logs once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class Means:
    """Sums of figures, weighted by cases, since the last call of `taken`.

    Logged at every step, figures would cost a step of a small bag a seventh of its time.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, figures: Mapping[str, Tensor], cases: int) -> None:
        """Adds the figures (scalars) of a step of so many cases; a step may lack some."""
        for name, value in figures.items():
            own = torch.as_tensor(value).detach().float().reshape(()) * cases
            total, count = self._sums.get(name, (0, 0))
            self._sums[name] = (total + own, count + cases)

    def taken(self) -> dict[str, tuple[Tensor, int]]:
        """The mean of every figure and the cases behind it; nothing is kept of them."""
        found = {name: (total / max(count, 1), count) for name, (total, count) in self._sums.items()}
        self._sums = {}
        return found


class LogsMeans(Callback):
    """Logs the means of a `LightningTask` when an epoch ends. It stands before the callbacks that read them."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets what an epoch that was cut off has left."""
        _means(pl_module, "train").taken()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs those of training."""
        _log(pl_module, "train")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As for training."""
        _means(pl_module, "val").taken()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs those of validation."""
        _log(pl_module, "val")


def _means(module: LightningModule, part: str) -> Means:
    found: Means = module.means[part]  # type: ignore[index,assignment]
    return found


def _log(module: LightningModule, part: str) -> None:
    for name, (mean, cases) in _means(module, part).taken().items():
        # A mean over processes weighs each by its cases.
        module.log(
            f"{part}/{name}", mean.to(module.device), on_step=False, on_epoch=True, batch_size=cases, sync_dist=True
        )
