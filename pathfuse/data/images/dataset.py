"""Makes batches of prepared images: a whole batch is gathered at once from the memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from pathfuse.cohort import Positions
from pathfuse.core import Batch
from pathfuse.data.images.augment import Augmenter
from pathfuse.data.loading.sampler import Item

SCALE = np.float32(1 / 255)  # a product is faster than a quotient; 255 still becomes exactly 1


class ImageRows(Protocol):
    """Images of one stain, by number; what a worker process can be sent."""

    def __getitem__(self, row: int) -> npt.NDArray[np.uint8]:
        """One image, (3, H, W)."""


class PairedImages(Dataset[Batch]):
    """Some cases of a cohort with one image per stain.

    An item is (epoch, position in these cases), see `EpochSampler`; a list of them is a batch.

    Args:
        images: the images of every stain that any case has.
        rows: per stain and case of the cohort, its row in `images`, -1 where the stain is absent.
        targets: per case of the cohort, its class index, -1 where unknown.
        case_ids: of the cohort.
        patient_ids: of the cohort.
        index: positions in the cohort of the cases to show.
        size_px: edge of the images.
        augment: changes the images of a case; None leaves them alone.
    """

    def __init__(
        self,
        images: Mapping[str, ImageRows],
        rows: Mapping[str, Positions],
        targets: Positions,
        case_ids: Sequence[str],
        patient_ids: Sequence[str],
        index: Positions,
        *,
        size_px: int,
        augment: Augmenter | None = None,
    ) -> None:
        self.images = images
        self.rows = rows
        self.targets = targets
        self.case_ids = case_ids
        self.patient_ids = patient_ids
        self.index = index
        self.size_px = size_px
        self.augment = augment

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: Item | int) -> Batch:
        """One case as a batch of one."""
        return self.__getitems__([item])

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch:
        """A batch of cases."""
        # Lightning's `overfit_batches` puts a sampler of plain positions in place of ours.
        items = [(0, item) if isinstance(item, int) else item for item in wanted]
        index = self.index[[position for _, position in items]]
        present = {modality: torch.from_numpy(rows[index] >= 0) for modality, rows in self.rows.items()}
        x = self._gather_all(index)
        if self.augment is not None:
            self._augment(self.augment, x, present, [epoch for epoch, _ in items], index)
        return Batch(
            {**x},
            present,
            torch.from_numpy(self.targets[index]),
            tuple(self.case_ids[i] for i in index),
            tuple(self.patient_ids[i] for i in index),
            torch.from_numpy(index),
        )

    def _gather_all(self, index: Positions) -> dict[str, Tensor]:
        if get_worker_info() is not None:
            return {modality: self._gather(modality, index) for modality in self.rows}
        # Copying leaves the interpreter free, so the stains are gathered side by side where nothing else runs.
        gathered = _threads().map(partial(self._gather, index=index), self.rows)
        return dict(zip(self.rows, gathered, strict=True))

    def _gather(self, modality: str, index: Positions) -> Tensor:
        rows = self.rows[modality][index].tolist()
        values = torch.from_numpy(np.empty((len(rows), 3, self.size_px, self.size_px), dtype=np.float32))
        if get_worker_info() is not None:
            # Filled where the main process will read it, instead of copied there afterwards.
            values.share_memory_()  # type: ignore[no-untyped-call]
        # Image by image: what is converted is still in the processor's cache when it is scaled. By numpy: on a busy
        # machine, torch's threads wait for each other longer than one of them works.
        for image, row in zip(values.numpy(), rows, strict=True):
            if row < 0:
                image.fill(0)
            else:
                np.copyto(image, self.images[modality][row])
                image *= SCALE
        return values  # (B, 3, H, W)

    @staticmethod
    def _augment(
        augment: Augmenter,
        x: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        epochs: Sequence[int],
        index: Positions,
    ) -> None:
        for place, (epoch, case) in enumerate(zip(epochs, index.tolist(), strict=True)):
            here = [modality for modality in x if present[modality][place]]
            changed = augment(torch.stack([x[modality][place] for modality in here]), epoch, case)
            for modality, image in zip(here, changed, strict=True):
                x[modality][place] = image


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="gather")
