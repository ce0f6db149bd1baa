"""The data loader of every data module: batches come whole from the data set, and errors come as one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import get_start_method
from multiprocessing.queues import Queue

import torch
from torch.utils.data import DataLoader, Dataset

from pathfuse.core import Batch
from pathfuse.data.loading.sampler import EpochSampler
from pathfuse.errors import PathfuseError
from pathfuse.system.main_guard import require_main_guard


class CaseLoader(DataLoader[Batch]):
    """A data loader that raises what a worker found wrong, as the one line it is."""

    def check_worker_number_rationality(self) -> None:
        """No advice of torch: how many processes load is the user's word, and more than cores is slow at worst."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, PathfuseError):
                raise batch
            yield batch


def case_loader(
    data: Dataset[Batch] | Dataset[Batch | PathfuseError],
    sampler: EpochSampler,
    *,
    batch_size: int,
    num_workers: int,
    seed: int,
    pin_memory: bool | None = None,
    drop_last: bool = False,
    persistent: bool = True,
) -> CaseLoader:
    """Loads batches of a data set that gathers a whole batch at once.

    Args:
        data: makes a batch from a list of items; an error instead of a batch is raised here.
        sampler: gives out the items.
        batch_size: cases per batch.
        num_workers: processes that load, no more than there are batches; 0 loads in this one.
        seed: of the processes.
        pin_memory: put batches where a GPU reads them faster; None does where there is one.
        drop_last: leave an incomplete last batch out.
        persistent: keep the processes from epoch to epoch.
    """
    workers = min(num_workers, -(-len(sampler) // batch_size))
    if workers and get_start_method() != "fork":
        require_main_guard()
    return CaseLoader(
        data,  # type: ignore[arg-type]  # errors among the batches are raised
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_as_is,
        pin_memory=torch.cuda.is_available() if pin_memory is None else pin_memory,
        drop_last=drop_last,
        persistent_workers=persistent and workers > 0,
        generator=torch.Generator().manual_seed(seed),  # the global one must not depend on the loader
        worker_init_fn=_end_with_a_lost_batch,
    )


def _end_with_a_lost_batch(worker: int) -> None:
    """Lets a process end that cannot send a batch, for want of file descriptors, say; it would be waited for."""
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]


def _end(error: Exception, batch: object) -> None:
    os._exit(1)


def _as_is(batch: object) -> object:
    return batch
