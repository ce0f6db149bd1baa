"""The contract of data modules: sizes, data sets of some cases, and what follows from the cohort by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from torch.utils.data import DataLoader, Dataset

from pathfuse.cohort import Cohort, Positions
from pathfuse.cohort.flow import FlowStep
from pathfuse.cohort.split_rows import SplitRow
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.images.decode import Pixels
from pathfuse.data.loading.balanced import BalancedSampler
from pathfuse.data.loading.loader import case_loader
from pathfuse.data.loading.options import Loading
from pathfuse.data.loading.sampler import EpochSampler, Shared
from pathfuse.data.vectors import Vectors, WithVectors, vectors_of
from pathfuse.errors import CaseTableError, PathfuseError, RecipeError

Part = Literal["train", "val", "test", "predict"]
Batches = Dataset[Batch] | Dataset[Batch | PathfuseError]


class CaseData(ABC):
    """What a batch is. A subclass takes the `Cohort` first, under that name, and its own options after it.

    Parts, folds, label maps, leakage checks, samplers and reports follow from the cohort; a subclass says which
    modalities it delivers and makes batches of the cases at given positions. Cases that it has nothing of are left out
    by `cohort.restricted(...)` before they are handed on. `SampleData` is the short way, one case at a time.

    Order, draws and augmentation are functions of (seed, epoch, case) alone, so that an interrupted run continues
    exactly.

    Args:
        cohort: the cases that have something to show.

    Attributes:
        cohort: the cases.
        loading: how they are loaded; the recipe's `loading` is put here.
        shared: which share of them this process loads; training on several devices puts its own here.
        made_for: the spec of the model that the batches go to; None while the model is still to be built for them.
        reads_stores: whether `cohort.stores` are read; a store that is named and not read is refused.
        drops_lone_case: leave a training case out that would be a batch by itself, for batch normalisation.
    """

    drops_lone_case: ClassVar[bool] = False
    reads_stores: ClassVar[bool] = False

    def __init__(self, cohort: Cohort) -> None:
        if cohort.stores is not None and not self.reads_stores:
            raise RecipeError(f"cohort.stores names features, and {type(self).__name__} reads none. Remove it.")
        self.cohort = cohort
        self.loading = Loading()
        self.shared = Shared()
        self.made_for: DataSpec | None = None

    @abstractmethod
    def modality_specs(self) -> Sequence[ModalitySpec]:
        """The modalities that a batch has, with their sizes."""

    @abstractmethod
    def dataset(self, index: Positions, part: Part) -> Batches:
        """Batches of the cases at these positions of the cohort, by lists of (epoch, position in `index`).

        Args:
            index: positions in the cohort.
            part: what they are for; only training cases may be changed at random.
        """

    def prepare_data(self) -> None:  # noqa: B027 - nothing has to be prepared
        """Writes what is prepared once, such as a cache. On several processes, one of each machine does it first."""

    def spec(self) -> DataSpec:
        """The sizes components are built from, the classes, and the labelled training cases of each class."""
        table = self.cohort.table
        vectors = [vectors.spec for vectors in self._vectors]
        return DataSpec((*self.modality_specs(), *vectors), table.classes, table.class_counts())

    def notes(self) -> list[str]:
        """Lines to read before trusting a number, for example that patches of one slide may lie in two parts."""
        return [*self.cohort.notes, *(note for vectors in self._vectors for note in vectors.notes)]

    def encoders(self) -> dict[str, str]:
        """Per stain, the network whose features are read, as their files name it; empty where images are read."""
        return {}

    def presence(self) -> dict[str, list[bool]]:
        """Per modality, which cases have it, in table order.

        A module whose cases have no files of a modality is taken to have it of every case, if nothing else is said.
        """
        vectors = {own.spec.name: own.present.tolist() for own in self._vectors}
        found = {}
        for modality in self.spec().names:
            there = vectors.get(modality) or [bool(case.files.get(modality)) for case in self.cohort]
            found[modality] = there if any(there) else [modality not in vectors] * len(there)
        return found

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """Per stain that a case has, a picture (H, W, 3) of at most 512 px; empty where there are only features.

        Args:
            case_id: a case of the cohort.

        Raises:
            CaseTableError: if there is no such case.
        """
        self.cohort.table.position(case_id)
        return {}

    def fingerprint(self) -> str:
        """SHA-256 over cases, labels, parts and files; a run is resumed only on equal data."""
        return self.cohort.table.fingerprint()

    def split_table(self) -> list[SplitRow]:
        """Every case with its part, in table order."""
        return self.cohort.table.split_table()

    def flow(self) -> list[FlowStep]:
        """How many cases and patients are left at every step from the source to the parts, in order."""
        return self.cohort.table.flow_steps()

    def workers(self, part: Part) -> int:
        """Processes that load a part; fewer than `loading.num_workers` where there is nothing to share."""
        return self.loading.num_workers

    def sampler(self, data: Batches, index: Positions, part: Part) -> EpochSampler:
        """The order of the cases: that of the table, a new one each epoch, or every class equally often."""
        ranks, rank, epoch = self.shared.ranks, self.shared.rank, self.shared.epoch
        seed, batches = self.loading.seed, self.loading.batches_per_epoch
        length = batches * self.loading.batch_size * ranks if batches and part == "train" else None
        if part == "train" and self.loading.sampler == "balanced":
            targets = self.cohort.table.targets()[index]
            return BalancedSampler(data, targets, seed=seed, length=length, epoch=epoch, ranks=ranks, rank=rank)
        return EpochSampler(
            data, seed=seed, shuffle=part == "train", length=length, epoch=epoch, ranks=ranks, rank=rank
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training part, shuffled."""
        index = self.cohort.table.where("train")
        if not len(index):
            raise CaseTableError(f"{self.cohort.origin.name} has no training case. Correct its parts, or draw them.")
        return self._loader(index, "train")

    def glimpse(self, count: int = 2) -> Batch:
        """The first training cases as one batch, loaded in this process and not changed at random.

        Raises:
            PathfuseError: if one cannot be read.
        """
        data = self._with_vectors(self.dataset(self.cohort.table.where("train")[:count], "val"))
        order = EpochSampler(data, seed=0, shuffle=False)
        return next(iter(case_loader(data, order, batch_size=count, num_workers=0, seed=0)))

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation part in table order."""
        return self._loader(self.cohort.table.where("val"), "val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test part, or every case with `test_on: all`, in table order."""
        return self._loader(self.cohort.table.where("test"), "test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Every case in table order, whatever its part."""
        return self.cases_dataloader(row.case_id for row in self.split_table())

    def cases_dataloader(self, case_ids: Iterable[str]) -> DataLoader[Batch]:
        """Some cases in table order, whatever their part; no other is read.

        Raises:
            CaseTableError: if there is no such case.
        """
        found = sorted(self.cohort.table.position(case_id) for case_id in case_ids)
        return self._loader(np.array(found, dtype=np.int64), "predict")

    @cached_property
    def _vectors(self) -> list[Vectors]:
        return vectors_of(self.cohort, self.made_for)

    def _with_vectors(self, data: Batches) -> Batches:
        return WithVectors(data, self._vectors) if self._vectors else data

    def _loader(self, index: Positions, part: Part) -> DataLoader[Batch]:
        data = self._with_vectors(self.dataset(index, part))
        sampler, size = self.sampler(data, index, part), self.loading.batch_size
        return case_loader(
            data,
            sampler,
            batch_size=size,
            num_workers=self.workers(part),
            seed=self.loading.seed,
            pin_memory=self.loading.pin_memory,
            drop_last=self.drops_lone_case and part == "train" and len(sampler) > size and len(sampler) % size == 1,
            persistent=part in ("train", "val"),
        )
