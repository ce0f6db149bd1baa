"""The pseudo-inverse of the landmark attention, by matrix products alone."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.nn import batched_product


def pseudo_inverse(matrix: Tensor, steps: int = 6, backward: torch.dtype | None = None) -> Tensor:
    """Approximate pseudo-inverse of (heads, m, m) matrices of one case.

    Args:
        matrix: attention between landmarks of all heads of one case.
        steps: iterations; the first guess is scaled by the maxima over all heads together.
        backward: precision that the gradient is computed in; None is that of `matrix`.

    Source: Xiong et al. 2021, arXiv:2102.03902, equation 14.
    """
    size = matrix.abs()
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    guess = matrix.mT / (size.sum(-1).max() * size.sum(-2).max())
    for _ in range(steps):
        once = batched_product(matrix, guess, backward=backward)
        inner = 15 * eye - batched_product(once, 7 * eye - once, backward=backward)
        guess = 0.25 * batched_product(
            guess, 13 * eye - batched_product(once, inner, backward=backward), backward=backward
        )
    return guess
