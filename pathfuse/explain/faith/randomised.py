"""The same model with its weights mixed up: what a map still shows then, it has not from the training."""

from __future__ import annotations

import copy

import torch

from pathfuse.core import Model


def mixed_up(model: Model, seed: int) -> Model:
    """A copy whose weights have each been put in another order; their sizes and the networks' layers are the same.

    Args:
        model: the model; it is not changed.
        seed: same seed, same order.

    Source: Adebayo et al. 2018, arXiv:1810.03292, the model parameter randomisation test, all layers at once.
    """
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return other.eval()
