"""Data modules under check: the cohort that one is built on, and the batches that it gives."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import cast

from torch.utils.data import DataLoader

from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.contract import CaseData, Part
from pathfuse.data.loading.options import Loading
from pathfuse.demo.options import DemoCohort
from pathfuse.testing.example import Example

PARTS: tuple[Part, ...] = ("train", "val", "test", "predict")
DEMO = DemoCohort(patients=16, missing={"ihc": 0.3}, labelled_patients=8, val_fraction=0.25)
"""Few patients with all that a cohort may have: every part, absent stains, training cases without a label."""


class Given:
    """A cohort, and the data modules that a check builds on it.

    Args:
        example: the data module and its options.
        folder: where its files may be put.
    """

    def __init__(self, example: Example, folder: Path) -> None:
        self.example = example
        self.folder = folder
        self.cohort = cohort_of(example, folder)

    def build(self, cohort: Cohort | None = None, *, workers: int = 0) -> CaseData:
        """The data module over this cohort or another one, prepared as for training.

        Args:
            cohort: another one.
            workers: processes that load.
        """
        data = cast(CaseData, self.example.build(self.cohort if cohort is None else cohort))
        data.loading = Loading(batch_size=3, num_workers=workers)
        data.prepare_data()
        return data


@contextmanager
def given(example: Example) -> Iterator[Given]:
    """The cohort of a check in a folder that is gone afterwards."""
    with TemporaryDirectory() as folder:
        yield Given(example, Path(folder))


def cohort_of(example: Example, folder: Path) -> Cohort:
    """The cohort that an example names, or a few patients of the demo cohort, with its cache in a folder."""
    made: Cohort | Callable[[Path], Cohort] | None = example.cohort
    if made is None:
        made = getattr(example.component, "example_cohort", None)
    if made is None:
        return Cohort(demo=DEMO, cache=_drawn())
    cohort = made if isinstance(made, Cohort) else made(folder)
    return replace(cohort, cache=str(folder / "cache"))


@cache
def _drawn() -> str:
    """Where the demo cohort is drawn, once for all checks."""
    folder = mkdtemp(prefix="pathfuse-kit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def batches(data: CaseData, part: Part, epoch: int = 0) -> list[Batch]:
    """The batches of one epoch."""
    loader = loader_of(data, part)
    set_epoch = getattr(loader.sampler, "set_epoch", None)
    if set_epoch is not None:
        set_epoch(epoch)
    return list(loader)


def loader_of(data: CaseData, part: Part) -> DataLoader[Batch]:
    """The loader of a part."""
    loader: DataLoader[Batch] = getattr(data, f"{part}_dataloader")()
    return loader
