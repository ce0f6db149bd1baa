"""Makes packed batches of bags, whatever a patch is, reading just the rows that are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pathfuse.cohort import Cohort, Positions
from pathfuse.core import Bags, Batch, SlideInfo
from pathfuse.data.loading.sampler import Item
from pathfuse.errors import PathfuseError

S = TypeVar("S", bound=Sized)


@dataclass(frozen=True)
class Sampling:
    """How many patches of a bag are read.

    Attributes:
        patches: at most so many of each case and stain, without replacement; None reads all.
        seed: of the draw.
        by_epoch: whether each epoch draws anew.
    """

    patches: int | None = None
    seed: int = 0
    by_epoch: bool = True

    def rows(self, lengths: Sequence[int], epoch: int, case: int, stain: int) -> list[Positions | None]:
        """Per slide, the rows to read in file order, None for all. A function of seed, epoch, case and stain alone."""
        total = sum(lengths)
        if self.patches is None or self.patches >= total:
            return [None] * len(lengths)
        random = np.random.default_rng([self.seed, epoch if self.by_epoch else 0, case, stain])
        # File order reads fastest, and no model may depend on the order of a bag.
        chosen = np.sort(random.choice(total, self.patches, replace=False, shuffle=False)).astype(np.int64)
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        cuts = np.searchsorted(chosen, bounds)
        return [chosen[a:b] - start for a, b, start in zip(cuts[:-1], cuts[1:], bounds[:-1], strict=True)]


@dataclass(frozen=True)
class CaseFacts:
    """What every batch says about its cases, by position in the cohort.

    Attributes:
        targets: class index, -1 where unknown.
        case_ids: names.
        patient_ids: whose they are.
    """

    targets: Positions
    case_ids: Sequence[str]
    patient_ids: Sequence[str]

    @classmethod
    def of(cls, cohort: Cohort) -> CaseFacts:
        """Those of a cohort."""
        return cls(cohort.table.targets(), [case.case_id for case in cohort], [case.patient_id for case in cohort])


class PackedSet(Dataset[Batch | PathfuseError], Generic[S]):
    """Some cases of a cohort with a bag per stain; a subclass says what a patch is and reads it.

    An item is (epoch, position in these cases), see `EpochSampler`; a list of them is a batch. A file that cannot be
    read makes the batch an error object, because an exception that crosses from a worker arrives as a traceback.

    Args:
        slides: per case of the cohort and stain, its slides.
        modalities: the stains.
        facts: of the cohort.
        index: positions in the cohort of the cases to show.
        sampling: which patches are read.
    """

    def __init__(
        self,
        slides: Sequence[Mapping[str, tuple[S, ...]]],
        modalities: Sequence[str],
        facts: CaseFacts,
        index: Positions,
        *,
        sampling: Sampling,
    ) -> None:
        self.slides = slides
        self.modalities = tuple(modalities)
        self.facts = facts
        self.index = index
        self.sampling = sampling

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: Item | int) -> Batch | PathfuseError:
        """One case as a batch of one."""
        return self.__getitems__([item])

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch | PathfuseError:
        """A batch of cases."""
        # Lightning's `overfit_batches` puts a sampler of plain positions in place of ours.
        items = [(0, item) if isinstance(item, int) else item for item in wanted]
        index = self.index[[position for _, position in items]]
        epochs = [epoch for epoch, _ in items]
        try:
            bags = {m: self._bags(m, place, epochs, index.tolist()) for place, m in enumerate(self.modalities)}
        except PathfuseError as error:
            return error
        return Batch(
            {**bags},
            {m: bag.lengths > 0 for m, bag in bags.items()},
            torch.from_numpy(self.facts.targets[index]),
            tuple(self.facts.case_ids[i] for i in index),
            tuple(self.facts.patient_ids[i] for i in index),
            torch.from_numpy(index),
        )

    @abstractmethod
    def _empty(self, modality: str, patches: int) -> Tensor:
        """Room for the patches of a bag, (T, ...)."""

    @abstractmethod
    def _read_into(self, out: Tensor, slide: S, rows: Positions | None, modality: str) -> Tensor | None:
        """Reads some or all patches of a slide into `out` and returns their level-0 places, (k, 2), if known."""

    @abstractmethod
    def _info(self, slide: S) -> SlideInfo:
        """What a batch says about a slide."""

    def _change(self, bag: Tensor, epoch: int, case: int, stain: int) -> None:
        """Changes the patches of one case in place; leaves them alone unless a subclass says otherwise."""

    def _bags(self, modality: str, stain: int, epochs: Sequence[int], cases: Sequence[int]) -> Bags:
        """The bags of one stain, packed."""
        several = [self.slides[case].get(modality, ()) for case in cases]
        plans = [
            self.sampling.rows([len(slide) for slide in slides], epoch, case, stain)
            for slides, epoch, case in zip(several, epochs, cases, strict=True)
        ]
        sizes = [
            [len(slide) if rows is None else len(rows) for slide, rows in zip(slides, plan, strict=True)]
            for slides, plan in zip(several, plans, strict=True)
        ]
        values = self._empty(modality, sum(map(sum, sizes)))  # (T, ...)
        coords: list[Tensor | None] = []
        start = 0
        for slides, plan, counts, epoch, case in zip(several, plans, sizes, epochs, cases, strict=True):
            first = start
            for slide, rows, count in zip(slides, plan, counts, strict=True):
                if count:
                    coords.append(self._read_into(values[start : start + count], slide, rows, modality))
                start += count
            self._change(values[first:start], epoch, case, stain)
        return Bags(
            values,
            torch.tensor([sum(counts) for counts in sizes], dtype=torch.long),
            _numbers(sizes),
            torch.cat([known for known in coords if known is not None]) if _all_known(coords) else None,
            tuple(tuple(self._info(slide) for slide in slides) for slides in several),
        )


def _numbers(sizes: Sequence[Sequence[int]]) -> Tensor:
    """(T,) number of each patch's slide within its case."""
    if all(len(counts) < 2 for counts in sizes):
        return torch.zeros(sum(map(sum, sizes)), dtype=torch.long)
    parts = [torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)) for counts in sizes if counts]
    return torch.cat([*parts, torch.empty(0, dtype=torch.long)])


def _all_known(coords: Sequence[Tensor | None]) -> bool:
    return bool(coords) and all(known is not None for known in coords)
