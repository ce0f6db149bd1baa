"""What all pooling fusions share: pool the patches of every stain, then join the stains."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pathfuse.core import Batch, DataSpec, Fused, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn.join import How, joined, joined_dim, joint_spec, vectors
from pathfuse.nn.packed import Bag, readable_token, segment_max, segment_mean

NestedFusion = Callable[[dict[str, TokenSpec], DataSpec], Fusion]


class PoolFusion(Fusion):
    """Pools bags and joins the stains; subclasses say how a bag is pooled."""

    def _build(
        self, tokens: dict[str, TokenSpec], spec: DataSpec, fusion: NestedFusion | None, join: How, branches: int = 1
    ) -> None:
        for name, token in tokens.items():
            if token.layout != "packed":
                raise RecipeError(
                    f"{type(self).__name__} pools bags, and {name} is a {token.layout}. Use an encoder for bags."
                )
        self.join = join
        own = vectors(tokens, branches)
        self.fusion = fusion(own, spec) if fusion else None
        if self.fusion:
            self.out = replace(self.fusion.out, by_modality=own)
        else:
            self.out = joint_spec(joined_dim(own, join, type(self).__name__), own)

    @abstractmethod
    def pool(self, name: str, bag: Bag) -> tuple[Tensor, Tensor]:
        """One vector (B, D) per case, zeros where it has no patch, and the weight (T',) of every patch in it."""

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding; `attention` holds the weight (T,) of every patch, 0 in absent rows."""
        pooled, attention = {}, {}
        for name, token in tokens.items():
            bag = readable_token(token)
            embedding, weight = self.pool(name, bag)
            pooled[name] = Tokens(embedding, token.present & (bag.lengths > 0))
            attention[name] = bag.spread(weight, len(token.values))
        inner = self.fusion(pooled) if self.fusion else joined(pooled, self.join)
        own = {name: token.values for name, token in pooled.items()}
        return replace(inner, by_modality=own, tokens=tokens, attention=attention)

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The terms of the nested fusion."""
        return self.fusion.loss(fused, batch) if self.fusion else {}


class MeanPool(PoolFusion):
    """The mean over the patches of every stain, then the stains joined.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        fusion: joins the pooled stains; null joins them as `join` says.
        join: without a fusion, `mean` over the stains that a case has, or `concat` with zeros for an absent one.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        super().__init__()
        self._build(tokens, spec, fusion, join)

    def pool(self, name: str, bag: Bag) -> tuple[Tensor, Tensor]:
        """The mean, and 1 / n for every patch."""
        mean = segment_mean(bag.values, bag.lengths)  # (B, D)
        share = 1 / bag.lengths.clamp(min=1).to(mean.dtype)
        return mean, torch.repeat_interleave(share, bag.lengths, output_size=len(bag.values))


class MaxPool(PoolFusion):
    """The maximum over the patches of every stain, feature by feature, then the stains joined.

    The weight of a patch is the share of the features whose maximum it holds.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        fusion: joins the pooled stains; null joins them as `join` says.
        join: without a fusion, `mean` over the stains that a case has, or `concat` with zeros for an absent one.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        super().__init__()
        self._build(tokens, spec, fusion, join)

    def pool(self, name: str, bag: Bag) -> tuple[Tensor, Tensor]:
        """The maximum, and the share of features that each patch decides."""
        highest, row = segment_max(bag.values, bag.lengths)  # (B, D)
        highest = highest if highest.dtype.itemsize >= 4 else highest.float()
        decides = row[row >= 0]
        share = highest.new_full(decides.shape, 1 / max(1, bag.values.shape[1]))
        return highest, highest.new_zeros(len(bag.values)).index_add(0, decides, share)
