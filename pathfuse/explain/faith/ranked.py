"""Places of one stain in the order of their scores, and cases in which only some of them are shown."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch

GLASS = 1.0
"""What hidden pixels become."""


def places_of(batch: Batch, modality: str, scores: Tensor) -> list[Tensor]:
    """The scores of every case, flat: (H W,) of an image, (T,) of a bag, (D,) of a vector."""
    value = batch.x[modality]
    if isinstance(value, Bags):
        return list(torch.split(scores, value.lengths.tolist()))
    return list(scores.flatten(1))


def shown_only(batch: Batch, modality: str, kept: Tensor) -> Batch:
    """One case in which only some places of a stain are shown.

    Args:
        batch: one case.
        modality: the stain; the others stay as they are.
        kept: (N,) bool. Hidden pixels become glass, hidden columns 0, and hidden patches leave the bag.
    """
    value = batch.x[modality]
    if isinstance(value, Bags):
        less: Tensor | Bags = replace(
            value,
            values=value.values[kept],
            lengths=kept.sum()[None].to(value.lengths),
            slide=None if value.slide is None else value.slide[kept],
            coords=None if value.coords is None else value.coords[kept],
        )
    elif value.dim() == 4:
        less = torch.where(kept.view(1, 1, *value.shape[2:]), value, GLASS)
    else:
        less = torch.where(kept[None], value, 0.0)
    return replace(batch, x={**batch.x, modality: less})


def highest_first(scores: Tensor) -> Tensor:
    """The places from the highest score to the lowest; equal ones in the order in which they lie."""
    return torch.sort(scores, descending=True, stable=True).indices
