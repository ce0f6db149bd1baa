"""Ridge regression onto the leading components of a target, from sums over cases that may come in any batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALL = 1e-12
_FREE = 0.01  # share of the cases that has to be left to judge by
_RIDGES = tuple(10.0 ** (half / 2) for half in range(-12, 5))
"""Tried, per case: from none to more than all of the signal."""


@dataclass(frozen=True)
class Map:
    """A linear map; all in float64.

    Attributes:
        weight: (K, D) of the source.
        bias: (K,).
        components: (E, K) orthonormal directions of the standardised target, those of most variance first.
        centre: (E,) mean of the target.
        spread: (E,) its deviation.
        scale: root mean square of what is predicted, over cases and components.
    """

    weight: Tensor
    bias: Tensor
    components: Tensor
    centre: Tensor
    spread: Tensor
    scale: Tensor


class Sums:
    """Second moments of source and target, (D + E) features together, over the cases that were added."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def add(self, source: Tensor, target: Tensor) -> None:
        """Adds cases: source (N, D), target (N, E)."""
        both = torch.cat([source, target], 1).detach().double()
        first, second = both.sum(0), both.T @ both
        self.first = first if self.first is None else self.first + first
        self.second = second if self.second is None else self.second + second
        self.count += len(both)

    def solve(self, width: int, components: int) -> Map:
        """The map from the first `width` features to the leading components of the others.

        Both are standardised. The ridge has the least generalised cross-validation error over all components
        together (Golub et al. 1979).
        """
        assert self.first is not None and self.second is not None
        mean = self.first / self.count
        covariance = self.second / self.count - mean[:, None] * mean
        spread = covariance.diagonal().clamp_min(_SMALL).sqrt()
        related = covariance / (spread[:, None] * spread)
        inner, across, outer = related[:width, :width], related[:width, width:], related[width:, width:]
        values, vectors = torch.linalg.eigh(outer)
        directions = vectors.flip(1)[:, :components]
        # An eigenvector has no sign of its own; this one is the same on every machine.
        largest = directions.gather(0, directions.abs().argmax(0)[None])
        directions = directions * largest.sign()
        found = self._ridge(inner, across @ directions, values.flip(0)[:components].sum())
        weight = (found / spread[:width, None]).T
        scale = ((found.T @ inner @ found).diagonal().mean()).clamp_min(_SMALL).sqrt()
        return Map(weight, -weight @ mean[:width], directions, mean[width:], spread[width:], scale)

    def _ridge(self, inner: Tensor, across: Tensor, variance: Tensor) -> Tensor:
        """Coefficients (D, K) at the ridge of least generalised cross-validation error."""
        values, vectors = torch.linalg.eigh(inner)
        values, turned = values.clamp_min(0), vectors.T @ across
        best, coefficients = float("inf"), torch.zeros_like(across)
        for ridge in _RIDGES:
            own = turned / (values + ridge)[:, None]
            left = variance - 2 * (own * turned).sum() + (own.square() * values[:, None]).sum()
            free = 1 - (1 + (values / (values + ridge)).sum()) / self.count
            error = float(left / free.square()) if free > _FREE else float("inf")
            if error < best:
                best, coefficients = error, vectors @ own
        return coefficients
