"""Pooling of bags without weights: the mean, the mean with the deviation, and the maximum."""

from __future__ import annotations

import torch

from pathfuse.core import DataSpec, TokenSpec
from pathfuse.nn import (
    Bag,
    How,
    NestedFusion,
    Pooled,
    PoolFusion,
    at_least_float,
    packed_tokens,
    segment_max,
    segment_mean,
)


class PlainPool(PoolFusion):
    """Pooling that has no options of its own."""

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        super().__init__(tokens, spec, fusion=fusion, join=join)


class MeanPool(PlainPool):
    """The mean over the patches of every modality, then the modalities joined.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.
    """

    def pool(self, name: str, bag: Bag) -> Pooled:
        """The mean, and 1 / n for every patch."""
        mean = segment_mean(bag.values, bag.lengths)  # (B, D)
        share = 1 / bag.lengths.clamp(min=1).to(mean.dtype)
        return Pooled(mean, torch.repeat_interleave(share, bag.lengths, output_size=len(bag.values)))


class MomentPool(PoolFusion):
    """The mean and the standard deviation over the patches of every modality, then the modalities joined.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        dims = {name: 2 * token.dim for name, token in packed_tokens(tokens, "MomentPool").items()}
        super().__init__(tokens, spec, dims=dims, fusion=fusion, join=join)

    def pool(self, name: str, bag: Bag) -> Pooled:
        """The mean and the deviation, and 1 / n for every patch."""
        mean = segment_mean(bag.values, bag.lengths)  # (B, D)
        square = segment_mean(at_least_float(bag.values).square(), bag.lengths)
        # The smallest number keeps the gradient of the root finite where all patches are alike.
        deviation = (square - mean.square()).clamp_min(1e-12).sqrt()
        deviation = torch.where(bag.lengths[:, None] > 0, deviation, torch.zeros_like(deviation))
        share = 1 / bag.lengths.clamp(min=1).to(mean.dtype)
        weight = torch.repeat_interleave(share, bag.lengths, output_size=len(bag.values))
        return Pooled(torch.cat([mean, deviation], 1), weight)


class MaxPool(PlainPool):
    """The maximum over the patches of every modality, feature by feature, then the modalities joined.

    The weight of a patch is the share of the features whose maximum it holds.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        fusion: joins the pooled modalities; null joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.
    """

    def pool(self, name: str, bag: Bag) -> Pooled:
        """The maximum, and the share of features that each patch decides."""
        highest, row = segment_max(bag.values, bag.lengths)  # (B, D)
        decides = row[row >= 0]
        share = highest.new_full(decides.shape, 1 / max(1, bag.values.shape[1]))
        return Pooled(highest, highest.new_zeros(len(bag.values)).index_add(0, decides, share))
