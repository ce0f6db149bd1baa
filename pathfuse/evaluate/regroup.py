"""Fewer classes from the same predictions, for example 0, low and high HER2 from 0, 1+, 2+ and 3+."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def regroup(prob: Tensor, groups: Sequence[int]) -> Tensor:
    """(N, G) summed probabilities; take the most probable class after this, never before.

    Args:
        prob: (N, C).
        groups: new class of each old one.
    """
    index = torch.tensor(groups, device=prob.device)
    return prob.new_zeros(prob.shape[0], max(groups) + 1).index_add(1, index, prob)


def regroup_target(target: Tensor, groups: Sequence[int]) -> Tensor:
    """(N,) new class of each case; unknown (-1) stays unknown."""
    # The last entry answers index -1.
    return torch.tensor([*groups, -1], device=target.device)[target]
