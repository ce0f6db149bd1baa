"""Brownness of an IHC image: the optical density of DAB beside haematoxylin."""

from __future__ import annotations

import torch
from torch import Tensor

# Absorption of red, green and blue by haematoxylin and by DAB.
_STAINS = ((0.650, 0.704, 0.286), (0.268, 0.570, 0.776))
_DARKEST = 1 / 256


def dab(images: Tensor) -> Tensor:
    """Mean optical density of DAB (N,) of colour images (N, 3, H, W) in [0, 1]; negative where there is less than none.

    Source: Ruifrok & Johnston 2001, the vectors of haematoxylin and DAB; the third is what neither absorbs.
    """
    first, second = (torch.tensor(stain, dtype=torch.float64) for stain in _STAINS)
    third = torch.linalg.cross(first, second)
    matrix = torch.stack([own / torch.linalg.vector_norm(own) for own in (first, second, third)])  # (3 stains, 3)
    weights = torch.linalg.inv(matrix)[:, 1].to(images.device)  # (3,), density to DAB
    # Its mean over pixels is the mean density of each colour, weighed: the change of basis is linear.
    density = -torch.log10(images.double().clamp(_DARKEST, 1.0)).mean((2, 3))  # (N, 3)
    amount: Tensor = density @ weights
    return amount


def spearman(x: Tensor, y: Tensor) -> Tensor:
    """Rank correlation of two rows of numbers, ties in the middle; NaN where one of them has only one value."""
    ranks = [_ranks(values.double()) for values in (x, y)]
    u, v = (own - own.mean() for own in ranks)
    length = (u.square().sum() * v.square().sum()).sqrt()
    return (u * v).sum() / length if length > 0 else length.new_tensor(float("nan"))


def _ranks(values: Tensor) -> Tensor:
    below = (values[None, :] < values[:, None]).sum(1)
    equal = (values[None, :] == values[:, None]).sum(1)
    return below + (equal - 1) / 2
