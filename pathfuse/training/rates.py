"""Optimisers of a task, with learning rates that differ by depth and in the first epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer

from pathfuse.core import Backbone

Group = dict[str, Any]
SCALE = "lr_scale"


class Optimised(LightningModule):
    """A module that is trained with the optimiser and schedule of a recipe.

    Args:
        layer_decay: factor of the learning rate from one group of backbone layers to the one before it; None trains
            all layers alike.
        warmup_epochs: epochs in which the learning rate rises from zero.
        optimizer_factory: makes the optimiser of parameters, or of groups of them.
        scheduler_factory: makes the schedule of an optimiser; None has none.
    """

    def __init__(
        self,
        layer_decay: float | None,
        warmup_epochs: int,
        optimizer_factory: OptimizerCallable,
        scheduler_factory: LRSchedulerCallable | None,
    ) -> None:
        super().__init__()
        self.layer_decay = layer_decay
        self.warmup_epochs = warmup_epochs
        self.optimizer_factory = optimizer_factory
        self.scheduler_factory = scheduler_factory

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimiser over every parameter that is not frozen."""
        if self.layer_decay is None:
            optimizer = self.optimizer_factory(p for p in self.parameters() if p.requires_grad)
        else:
            optimizer = self.optimizer_factory(decayed_groups(self, self.layer_decay))
            apply_scales(optimizer.param_groups)
        if self.scheduler_factory is None:
            return optimizer
        scheduler = self.scheduler_factory(optimizer)
        monitor = getattr(scheduler, "monitor", None)
        if monitor is None:
            return [optimizer], [scheduler]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": monitor}}

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """A step, smaller in the epochs of the warm-up; the factor depends on epoch and batch alone."""
        factor = 1.0
        if epoch < self.warmup_epochs:
            done = (batch_idx + 1) / self.trainer.num_training_batches
            factor = (epoch + done) / self.warmup_epochs
        with multiplied(optimizer.param_groups, factor):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)


def decayed_groups(module: nn.Module, decay: float) -> list[Group]:
    """The trainable parameters in groups, each with the factor of its learning rate.

    Whatever lies after a backbone, such as the head, has factor 1; the last layers of a backbone have `decay`, the
    ones before `decay` squared, and so on towards the images.

    Args:
        module: what is trained; every `Backbone` in it is decayed on its own.
        decay: factor from one group of layers to the one before.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    taken: set[int] = set()
    for backbone in (part for part in module.modules() if isinstance(part, Backbone)):
        layers = backbone.layer_groups()
        for depth, layer in enumerate(reversed(layers), start=1):
            groups.setdefault(decay**depth, []).extend(_new(layer, taken))
    groups.setdefault(1.0, []).extend(_new(module.parameters(), taken))
    return [{"params": group, SCALE: scale} for scale, group in sorted(groups.items(), reverse=True) if group]


def _new(parameters: Iterable[nn.Parameter], taken: set[int]) -> list[nn.Parameter]:
    found = [p for p in parameters if p.requires_grad and id(p) not in taken]
    taken |= {id(p) for p in found}
    return found


def apply_scales(groups: Iterable[Group]) -> None:
    """Multiplies the learning rate that an optimiser was made with by the factor of each group."""
    for group in groups:
        group["lr"] *= group.get(SCALE, 1.0)


@contextmanager
def multiplied(groups: list[Group], factor: float) -> Iterator[None]:
    """Within the block every learning rate is multiplied; schedules see nothing of it."""
    before = [group["lr"] for group in groups]
    try:
        for group in groups:
            group["lr"] = group["lr"] * factor
        yield
    finally:
        for group, rate in zip(groups, before, strict=True):
            group["lr"] = rate
