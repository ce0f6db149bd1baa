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
        values: (N, heads, n, d) what is mixed, of an attention that is never made as a whole; None otherwise.
        mixed: (N, n', heads d) the layer's output, of the last n' tokens: the mixture itself. None without `values`.
    """

    factors: tuple[Tensor, ...]
    read: Tensor
    to_places: Callable[[Tensor], Tensor]
    values: Tensor | None = None
    mixed: Tensor | None = None

    def paid(self, row: Tensor) -> Tensor:
        """A row over tokens (N, n) times the attention, which is averaged over heads: (N, n')."""
        passed = row[:, None, None]  # (N, 1, 1, n)
        for factor in self.factors:
            passed = passed @ factor  # (N, heads, 1, n')
        return passed.mean(1)[:, 0]

    @property
    def asked(self) -> Tensor:
        """What a slope of the score is taken along, so that `favours` can say what speaks for the class."""
        return self.factors[0] if self.mixed is None else self.mixed

    def favours(self, slope: Tensor) -> Tensor:
        """What the output reads (N, n) of attention times the slope of the score along it, where that is positive.

        Of an attention that is never made as a whole, the slope along an entry is that along its row of the mixture
        times the value that the entry weighs; only rows that are read are made.

        Args:
            slope: of the score along `asked`.
        """
        rows = self.read.nonzero()[:, 0]
        if self.values is None or self.mixed is None:
            weight, slopes = self.factors[0][:, :, rows], slope[:, :, rows]  # (N, heads, r, n)
        else:
            before = len(self.read) - slope.shape[1]  # padding in front has no output
            own = slope[:, rows - before].view(len(slope), len(rows), self.values.shape[1], -1).transpose(1, 2)
            weight, slopes = self.factors[0][:, :, rows], own @ self.values.mT  # own is (N, heads, r, d)
            for factor in self.factors[1:]:
                weight = weight @ factor
        positive = (weight * slopes).clamp(min=0).mean(1)  # (N, r, n)
        return (self.read[rows] @ positive).detach()
