"""Selection of the patches that are contrasted: those with the highest and the lowest score of a case."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Overlap = Literal["disjoint", "released"]


class Groups(NamedTuple):
    """Row indices of the two groups within a bag, best first."""

    top: Tensor
    bottom: Tensor


def group_size(patches: int, k: int, overlap: Overlap) -> int:
    """Patches per group: k, or half of the bag where it is smaller than 2k and the groups may not overlap.

    Raises:
        ValueError: for `released` and a bag of fewer than k patches, from which k cannot be taken.
    """
    if overlap == "disjoint":
        return min(k, patches // 2)
    if patches < k:
        raise ValueError(f"{patches} patches, fewer than k = {k}")
    return k


def extremes(score: Tensor, k: int, overlap: Overlap = "disjoint") -> Groups:
    """First and last patches of the descending order of (n,) scores; ties keep the order of the bag."""
    size = group_size(len(score), k, overlap)
    order = score.argsort(descending=True, stable=True)
    return Groups(order[:size], order[len(order) - size :])


def at_random(patches: int, k: int, device: torch.device) -> Groups:
    """Two disjoint groups drawn at random."""
    size = group_size(patches, k, "disjoint")
    drawn = torch.randperm(patches, device=device)[: 2 * size]
    return Groups(drawn[:size], drawn[size:])
