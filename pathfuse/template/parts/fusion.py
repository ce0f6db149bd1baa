"""A fusion block: the mean of the patches, then the mean of the stains that are there."""

from __future__ import annotations

import torch
from torch import nn

from pathfuse.core import DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared, segment_mean


class TinyFusion(Fusion):
    """The mean over the stains of a case, through one layer.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: the data.
        dim: width of the joint embedding.
    """

    order_free = True

    def __init__(self, tokens: dict[str, TokenSpec], spec: DataSpec, *, dim: int = 64) -> None:
        super().__init__()
        if len({token.dim for token in tokens.values()}) > 1 or any(t.layout == "map" for t in tokens.values()):
            raise RecipeError(f"{type(self).__name__} joins vectors or bags of one width. Choose another encoder.")
        self.dim = dim
        self.mix = nn.Linear(next(iter(tokens.values())).dim, dim)
        self.out = FusedSpec(dim, "vector")

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding (B, D) of the stains that are present."""
        values = [cleared(pooled(token), token.present) for token in tokens.values()]  # stains x (B, D)
        present = torch.stack([token.present for token in tokens.values()])  # (stains, B)
        mean = torch.stack(values).sum(0) / present.sum(0).clamp(min=1)[:, None]  # (B, D)
        return Fused(self.mix(mean.to(self.mix.weight.dtype)), present.any(0))


def pooled(token: Tokens) -> torch.Tensor:
    """A token as one vector per case, (B, D)."""
    return token.values if token.lengths is None else segment_mean(token.values, token.lengths)
