"""Selection of the epoch of a stage that is kept: by which number, and the one that decides between equals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from pathfuse.runs.checkpoints import BEST, LAST

LOSS = "val/loss"
TIES = ("val/classification", LOSS)
"""Terms of the validation part; where the first was not logged, the second decides. Less is better.

The classification term comes first because the weight of the confidence term moves from epoch to epoch.
"""


class Criterion(NamedTuple):
    """What an epoch is selected by.

    Attributes:
        monitor: as it is logged; None takes the last epoch.
        higher: whether more of it is better.
    """

    monitor: str | None
    higher: bool = False


def checkpoints(folder: Path, criterion: Criterion) -> list[EpochCheckpoint]:
    """The last finished epoch, to resume from, and the best one on the validation part, to test.

    Args:
        folder: where they go.
        criterion: what selects.
    """
    last = EpochCheckpoint(folder, LAST, Criterion(None))
    # In this order, so that the last epoch's file knows whether that epoch was the best one.
    return [last] if criterion.monitor is None else [EpochCheckpoint(folder, BEST, criterion), last]


class EpochCheckpoint(ModelCheckpoint):
    """The file of one epoch, kept in its own folder, whatever a checkpoint says: a run may be moved or a stranger's.

    Of two epochs with the same value the one with less classification loss is kept. Where the value is not defined,
    in any epoch, that loss alone selects.

    Args:
        folder: where the file goes.
        name: of the file.
        criterion: what selects the epoch.
    """

    def __init__(self, folder: Path, name: str, criterion: Criterion) -> None:
        super().__init__(
            dirpath=folder,
            filename=Path(name).stem,
            monitor=criterion.monitor,
            mode="max" if criterion.higher else "min",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.tie: float = float("inf")
        self.kept_epoch: int | None = None

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether this epoch is better than the one that is kept."""
        better = super().check_monitor_top_k(trainer, current)
        if better or current is None or not self.best_k_models:
            return better
        equal = _or_worst(current, self.mode) == float(self.best_k_models[self.kth_best_model_path])
        decided: bool = trainer.strategy.reduce_boolean_decision(equal and self._loss(trainer) < self.tie)
        return decided

    def _monitor_candidates(self, trainer: Trainer) -> dict[str, Tensor]:
        found = super()._monitor_candidates(trainer)
        if self.monitor is not None:
            found.setdefault(self.monitor, torch.tensor(float("nan")))
        return found

    def _update_best_and_save(self, current: Tensor, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        self.tie, self.kept_epoch = self._loss(trainer), trainer.current_epoch
        super()._update_best_and_save(current, trainer, monitor_candidates)

    def state_dict(self) -> dict[str, Any]:
        """With what decided between equals."""
        return {**super().state_dict(), "tie": self.tie, "kept_epoch": self.kept_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up scores and file names, not folders."""
        self.tie, self.kept_epoch = state_dict["tie"], state_dict["kept_epoch"]
        files = {
            key: self._here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **files, "best_k_models": best, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else path

    def _loss(self, trainer: Trainer) -> float:
        logged = trainer.callback_metrics
        return next((float(logged[name]) for name in TIES if name in logged), float("inf"))


def _or_worst(value: Tensor, mode: str) -> float:
    """The value; what is not defined counts as the worst, as Lightning keeps it."""
    known = float(value)
    return known if known == known else float("inf" if mode == "min" else "-inf")
