"""A data module over a cohort: what does not depend on how the cases are loaded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from torch.utils.data import DataLoader, Dataset

from pathfuse.cohort.cohort import Cohort, Rows
from pathfuse.cohort.flow import FlowStep
from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.label_map import NamedMap, label_map_of, merge_labels
from pathfuse.cohort.split_rows import Folds, SplitRow
from pathfuse.cohort.table import CaseTable
from pathfuse.core import Batch
from pathfuse.data.contract import CaseData
from pathfuse.data.images.cache import default_cache
from pathfuse.data.images.decode import Pixels
from pathfuse.data.loading.sampler import EpochSampler
from pathfuse.data.option_checks import check_at_least, check_modalities
from pathfuse.errors import CaseTableError

Part = Literal["train", "val", "test", "predict"]
_GIVEN = Parts()


class CohortData(CaseData):
    """Answers from its cohort; a subclass reads the cohort and makes the batches.

    Args:
        modalities: stains to read.
        batch_size: cases per batch.
        num_workers: processes that load; 0 loads in the main process.
        parts: how cases get their parts; its seed is also that of the order.
        label_map: merges labels, see `label_map_of`.
        classes: label names in the order of the class index; None derives them.
        cache: folder of files that can be made again; None takes the platform's.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        batch_size: int,
        num_workers: int,
        parts: Parts = _GIVEN,
        label_map: NamedMap | dict[str, str] | None = None,
        classes: Sequence[str] | None = None,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        check_modalities(modalities)
        check_at_least("batch_size", batch_size, 1)
        check_at_least("num_workers", num_workers, 0)
        self.modalities = tuple(modalities)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.parts = parts
        self.seed = parts.seed
        self.label_map = label_map
        self._mapping = label_map_of(label_map, classes)
        self.classes = classes
        self.cache = Path(cache) if cache else default_cache()

    @property
    @abstractmethod
    def cohort(self) -> Cohort:
        """The cases with their parts, read once."""

    @abstractmethod
    def _loader(self, index: Rows, part: Part) -> DataLoader[Batch]:
        """Batches of the cases at these positions of the cohort; training cases are shuffled and may be changed."""

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training part, shuffled."""
        index = self.cohort.where("train")
        if not len(index):
            raise CaseTableError(f"{self.cohort.origin.name} has no training case. Correct its parts, or draw them.")
        return self._loader(index, "train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation part in table order."""
        return self._loader(self.cohort.where("val"), "val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test part, or every case with `test_on: all`, in table order."""
        return self._loader(self.cohort.where("test"), "test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Every case in table order, whatever its part."""
        return self._loader(np.arange(len(self.cohort)), "predict")

    def split_table(self) -> list[SplitRow]:
        """Every case with its part, in table order."""
        return self.cohort.split_table()

    def fingerprint(self) -> str:
        """SHA-256 over cases, patients, labels, parts, and name and size of the files; folders do not count."""
        return self.cohort.fingerprint()

    def origin(self) -> Path:
        """The case table or folder that was read; that of the demo cohort if there is neither."""
        return self.cohort.origin

    def folds(self) -> Folds | None:
        """The fold that the parts come from; None where they do not come from a file of folds."""
        return self.parts.folds

    def flow(self) -> list[FlowStep]:
        """How many cases and patients are left at every step from the source to the parts, in order."""
        return self.cohort.flow_steps()

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """Nothing: a cohort of features has no pictures."""
        self.cohort.position(case_id)
        return {}

    def notes(self) -> list[str]:
        """What to read before trusting a number."""
        return list(self.cohort.notes)

    def _own_classes(self) -> Sequence[str] | None:
        """Class names of the source; those of merged labels say nothing about it."""
        return self.classes if self._mapping is None else None

    def _merged(self, table: CaseTable) -> CaseTable:
        """The table with merged labels."""
        return merge_labels(table, self._mapping, self.classes)

    def _divided(self, table: CaseTable, *, before: Sequence[str] = (), after: Sequence[str] = ()) -> Cohort:
        """The cases with their parts, and further notes before and after those about the parts."""
        cases, notes = self.parts.apply(table.cases)
        return Cohort(table.origin, cases, table.classes, [*table.notes, *before, *notes, *after], table.flow)

    def _ordered(self, data: Dataset[object], shuffle: bool) -> EpochSampler:
        """The order of the cases: that of the table, or a new one each epoch."""
        ranks, rank = self._ranks()
        epoch = None if self.trainer is None else self._epoch
        return EpochSampler(data, seed=self.seed, shuffle=shuffle, epoch=epoch, ranks=ranks, rank=rank)

    def _ranks(self) -> tuple[int, int]:
        """How many processes share the cases, and which this is."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def _epoch(self) -> int:
        return 0 if self.trainer is None else self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
