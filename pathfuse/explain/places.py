"""Scores of bags, slide by slide: what every patch got, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pathfuse.core import Bags, Batch, SlideInfo

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class SlideScores:
    """One slide of a case, in one stain.

    Attributes:
        case_id: the case.
        stain: the modality.
        slide: its name, spacing and patch size.
        score: (N,) of its patches, as the explainer gave them.
        percentile: (N,) percent of the patches of the case's stain, on all its slides, with a lower score; above 0,
            below 100.
        places: (N, 2) top-left (x, y) in level-0 pixels; None if unknown.
    """

    case_id: str
    stain: str
    slide: SlideInfo
    score: NDArray[np.floating]
    percentile: Numbers
    places: NDArray[np.int64] | None

    @property
    def edge(self) -> float:
        """Edge of a patch in level-0 pixels: as stated, or else the smallest step between known places."""
        if self.slide.patch_size_level0 or self.places is None:
            return self.slide.patch_size_level0 or 1.0
        steps = [np.diff(np.unique(self.places[:, axis])) for axis in (0, 1)]
        return float(min((step.min() for step in steps if len(step)), default=1))


def by_slide(batch: Batch, stain: str, score: Tensor) -> Iterator[tuple[SlideScores, ...]]:
    """Per case of a batch, its slides of one stain; empty where the stain is absent.

    Args:
        batch: B cases.
        stain: a modality with bags.
        score: (T,) of its patches.
    """
    bags = batch.x[stain]
    assert isinstance(bags, Bags)
    offsets, present = bags.offsets.tolist(), batch.present[stain].tolist()
    for row, case_id in enumerate(batch.case_ids):
        rows = slice(offsets[row], offsets[row + 1])
        if not present[row] or rows.start == rows.stop:
            yield ()
            continue
        slides = bags.slides[row] if bags.slides else ()
        owner = None if bags.slide is None else bags.slide[rows].cpu().numpy()
        places = None if bags.coords is None else bags.coords[rows].cpu().numpy()
        if owner is None or not slides:
            # Several slides that nobody tells apart: a place on one of them would be a guess.
            places = None if len(slides) > 1 else places
            slides = slides if len(slides) == 1 else (SlideInfo(case_id),)
            owner = np.zeros(rows.stop - rows.start, dtype=np.int64)
        yield _split(case_id, stain, slides, score[rows].float().cpu().numpy(), owner, places)


def _split(
    case_id: str,
    stain: str,
    slides: tuple[SlideInfo, ...],
    score: NDArray[np.floating],
    owner: NDArray[np.int64],
    places: NDArray[np.int64] | None,
) -> tuple[SlideScores, ...]:
    ordered = np.sort(score)
    below, upto = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
    percentile = 100 * (below + upto) / (2 * len(score))  # equal scores share the mean of their ranks, less a half
    own = [(slide, owner == number) for number, slide in enumerate(slides)]
    return tuple(
        SlideScores(case_id, stain, slide, score[mine], percentile[mine], None if places is None else places[mine])
        for slide, mine in own
        if mine.any()
    )
