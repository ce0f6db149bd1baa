"""Options of loading, which every data module shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class Loading:
    """How: the order of the cases and the loading of batches, for every data module alike.

    Args:
        batch_size: cases per batch.
        num_workers: processes that load; 0 loads in the main process. The number changes nothing but the time.
        sampler: `shuffled` shows every training case once an epoch, `balanced` every class equally often.
        batches_per_epoch: batches of a training epoch, however many cases there are; null makes an epoch of every case
            once. With the same number, recipes that learn from 16 cases and from 500 take equally many steps.
        pin_memory: whether batches are put where a GPU reads them faster; null does so where there is a GPU.
        seed: of the order, of drawn patches and of augmentation.
    """

    batch_size: int = 16
    num_workers: int = 2
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    batches_per_epoch: int | None = None
    pin_memory: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("num_workers", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise RecipeError(f"loading.{name} is {getattr(self, name)}; give at least {least}.")
        if self.batches_per_epoch is not None and self.batches_per_epoch < 1:
            raise RecipeError(f"loading.batches_per_epoch is {self.batches_per_epoch}; give at least 1, or null.")
