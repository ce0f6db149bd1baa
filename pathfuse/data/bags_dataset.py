"""Makes packed batches of feature bags, reading just the rows that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pathfuse.core import Bags, Batch, SlideInfo
from pathfuse.data.bags_cohort import Slides
from pathfuse.data.cohort import Rows
from pathfuse.data.sampler import Item
from pathfuse.errors import PathfuseError, StoreError
from pathfuse.store import SlideFeatures
from pathfuse.store.rows import allocate


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

    def rows(self, lengths: Sequence[int], epoch: int, case: int, stain: int) -> list[Rows | None]:
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


class BagSet(Dataset[Batch | PathfuseError]):
    """Some cases of a cohort with a bag per stain.

    An item is (epoch, position in these cases), see `EpochSampler`; a list of them is a batch. A file that cannot be
    read makes the batch an error object, because an exception that crosses from a worker arrives as a traceback.

    Args:
        slides: per case of the cohort and stain, its slides.
        widths: per stain, the length of its features.
        targets: per case of the cohort, its class index, -1 where unknown.
        case_ids: of the cohort.
        patient_ids: of the cohort.
        index: positions in the cohort of the cases to show.
        sampling: which patches are read.
        dtype: of the features; None leaves them as stored.
    """

    def __init__(
        self,
        slides: Sequence[Mapping[str, Slides]],
        widths: Mapping[str, int],
        targets: Rows,
        case_ids: Sequence[str],
        patient_ids: Sequence[str],
        index: Rows,
        *,
        sampling: Sampling,
        dtype: torch.dtype,
    ) -> None:
        self.slides = slides
        self.widths = widths
        self.targets = targets
        self.case_ids = case_ids
        self.patient_ids = patient_ids
        self.index = index
        self.sampling = sampling
        self.dtype = dtype

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
            bags = {m: self._bags(m, place, epochs, index.tolist()) for place, m in enumerate(self.widths)}
        except PathfuseError as error:
            return error
        return Batch(
            {**bags},
            {m: bag.lengths > 0 for m, bag in bags.items()},
            torch.from_numpy(self.targets[index]),
            tuple(self.case_ids[i] for i in index),
            tuple(self.patient_ids[i] for i in index),
            torch.from_numpy(index),
        )

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
        values = allocate((sum(map(sum, sizes)), self.widths[modality]), self.dtype)  # (T, D)
        coords: list[Tensor | None] = []
        start = 0
        for slides, plan, counts in zip(several, plans, sizes, strict=True):
            for slide, rows, count in zip(slides, plan, counts, strict=True):
                if count:
                    slide.features.read_into(values[start : start + count], rows)
                    _refuse_not_finite(slide.path, values[start : start + count], rows)
                    coords.append(slide.level0_coords(rows))
                start += count
        return Bags(
            values,
            torch.tensor([sum(counts) for counts in sizes], dtype=torch.long),
            _numbers(sizes),
            torch.cat([known for known in coords if known is not None]) if _all_known(coords) else None,
            tuple(tuple(_info(slide) for slide in slides) for slides in several),
        )


def _numbers(sizes: Sequence[Sequence[int]]) -> Tensor:
    """(T,) number of each patch's slide within its case."""
    parts = [torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)) for counts in sizes if counts]
    return torch.cat([*parts, torch.empty(0, dtype=torch.long)])


def _all_known(coords: Sequence[Tensor | None]) -> bool:
    return bool(coords) and all(known is not None for known in coords)


def _info(slide: SlideFeatures) -> SlideInfo:
    return SlideInfo(slide.slide_id, slide.mpp, slide.level0_patch_size)


def _refuse_not_finite(path: object, values: Tensor, rows: npt.NDArray[np.int64] | None) -> None:
    if not values.numel():
        return
    # NaN wins in both, and there is no third way of not being finite; `isfinite` on all is fifty times as slow.
    if not all(bool(torch.isfinite(end)) for end in torch.aminmax(values)):
        bad = ~torch.isfinite(values)
        first = int(bad.any(1).nonzero()[0])
        row = first if rows is None else int(rows[first])
        raise StoreError(
            f"{path} row {row} holds {int(bad[first].sum())} values that are not finite: the encoder failed there or "
            "float16 overflowed. Extract the slide again, in float32 or bfloat16 if it overflowed."
        )
