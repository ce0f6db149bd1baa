"""Baselines that a case is compared with: glass, the mean patch, or nothing at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch
from pathfuse.errors import RecipeError

Baseline = Literal["glass", "mean", "absent"]


def baseline_batch(batch: Batch, kind: Baseline | None, asked_by: str) -> Batch:
    """The same cases with every value replaced by the baseline's.

    Args:
        batch: B cases, absent rows of which hold zeros.
        kind: `glass` is a white image or patch; `mean` the mean colour of the image, or the mean patch of the bag;
            `absent` the zeros that stand for an absent stain. None is glass for images and patches, and mean for
            features. A vector, whose numbers are standardised, gets zeros: the means of the training part.
        asked_by: the explainer, for errors.

    Raises:
        RecipeError: for glass where there are features, since what an encoder makes of glass is not known.
    """
    return replace(batch, x={name: _of(name, batch.x[name], kind, asked_by) for name in batch.modalities})


def _of(name: str, value: Tensor | Bags, kind: Baseline | None, asked_by: str) -> Tensor | Bags:
    if isinstance(value, Bags):
        return replace(value, values=_of_bag(name, value, kind, asked_by))
    if value.dim() == 2 or kind == "absent":
        return torch.zeros_like(value)
    if kind == "mean":
        return value.mean((2, 3), keepdim=True).expand_as(value).clone()
    return torch.ones_like(value)


def _of_bag(name: str, bags: Bags, kind: Baseline | None, asked_by: str) -> Tensor:
    values = bags.values
    if kind == "absent":
        return torch.zeros_like(values)
    if values.dim() == 4 and kind != "mean":
        return torch.ones_like(values)
    if kind == "glass":
        raise RecipeError(
            f"{asked_by}: baseline glass is a white image, and {name} holds features. Choose mean or absent."
        )
    bins = values.new_zeros(len(bags.lengths), *values.shape[1:]).index_add(0, bags.owner, values)
    mean = bins / bags.lengths.clamp(min=1).view(-1, *[1] * (values.dim() - 1))
    if values.dim() == 4:
        mean = mean.mean((2, 3), keepdim=True).expand_as(mean)
    return mean[bags.owner]
