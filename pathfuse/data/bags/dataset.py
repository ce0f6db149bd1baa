"""Packed batches of feature bags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pathfuse.cohort import Positions
from pathfuse.core import SlideInfo
from pathfuse.data.bags.features import Slides
from pathfuse.data.bags.packed import CaseFacts, PackedSet, Sampling
from pathfuse.errors import StoreError
from pathfuse.store import SlideFeatures
from pathfuse.store.rows.tensors import allocate


class BagSet(PackedSet[SlideFeatures]):
    """Some cases of a cohort with a bag of features per stain; see `PackedSet`.

    Args:
        slides: per case of the cohort and stain, its slides.
        widths: per stain, the length of its features.
        facts: of the cohort.
        index: positions in the cohort of the cases to show.
        sampling: which patches are read.
        dtype: of the features.
    """

    def __init__(
        self,
        slides: Sequence[Mapping[str, Slides]],
        widths: Mapping[str, int],
        facts: CaseFacts,
        index: Positions,
        *,
        sampling: Sampling,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(slides, tuple(widths), facts, index, sampling=sampling)
        self.widths = widths
        self.dtype = dtype

    def _empty(self, modality: str, patches: int) -> Tensor:
        return allocate((patches, self.widths[modality]), self.dtype)  # (T, D)

    def _read_into(self, out: Tensor, slide: SlideFeatures, rows: Positions | None, modality: str) -> Tensor | None:
        slide.features.read_into(out, rows)
        _refuse_not_finite(slide.path, out, rows)
        return slide.level0_coords(rows)

    def _info(self, slide: SlideFeatures) -> SlideInfo:
        return SlideInfo(slide.slide_id, slide.mpp, slide.level0_patch_size, slide.origin)


def _refuse_not_finite(path: object, values: Tensor, rows: npt.NDArray[np.int64] | None) -> None:
    if not values.numel():
        return
    # NaN wins in both, and there is no third way of not being finite; `isfinite` on all is fifty times as slow.
    if not all(isfinite(end.item()) for end in torch.aminmax(values)):
        bad = ~torch.isfinite(values)
        first = int(bad.any(1).nonzero()[0])
        row = first if rows is None else int(rows[first])
        raise StoreError(
            f"{path} row {row} holds {int(bad[first].sum())} values that are not finite: the encoder failed there or "
            "float16 overflowed. Extract the slide again, in float32 or bfloat16 if it overflowed."
        )
