"""Attention that a component leaves to explainers while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class AttentionStep:
    """The attention of one layer in one pass; its tensors lie on the way to the output, so they have gradients.

    Attributes:
        factors: (N, heads, n, n) as one matrix, or thin ones whose product that is. Of a block that pools, one row per
            head: (1, heads, 1, T).
        read: (n,) how much of every row the output is made of: all of the class token's, or all patches' alike.
        to_places: takes a row over all tokens (N, n) to the patches: (N, h, w) of images, (T,) of a bag. Class tokens
            and padding are dropped.
    """

    factors: tuple[Tensor, ...]
    read: Tensor
    to_places: Callable[[Tensor], Tensor]

    def paid(self, row: Tensor) -> Tensor:
        """A row over tokens (N, n) times the attention, which is averaged over heads: (N, n')."""
        passed = row[:, None, None]  # (N, 1, 1, n)
        for factor in self.factors:
            passed = passed @ factor  # (N, heads, 1, n')
        return passed.mean(1)[:, 0]
