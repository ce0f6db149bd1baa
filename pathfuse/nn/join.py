"""From one vector per stain to one vector per case."""

from __future__ import annotations

from typing import Literal

import torch

from pathfuse.core import Fused, FusedSpec, Tokens, TokenSpec
from pathfuse.errors import RecipeError

How = Literal["mean", "concat"]


def joined_dim(tokens: dict[str, TokenSpec], how: How, asked_by: str) -> int:
    """Width of the joint embedding.

    Raises:
        RecipeError: if a mean is asked of vectors that differ in width.
    """
    widths = [token.dim for token in tokens.values()]
    if how == "concat":
        return sum(widths)
    if len(set(widths)) > 1:
        sizes = ", ".join(f"{name} {token.dim}" for name, token in tokens.items())
        raise RecipeError(f"{asked_by}: the stains differ in width ({sizes}). Set join: concat, or dim in the encoder.")
    return widths[0]


def joined(tokens: dict[str, Tokens], how: How) -> Fused:
    """Vectors (B, D), zeros where absent, side by side or averaged over the stains that a case has."""
    present = torch.stack([token.present for token in tokens.values()])  # (stains, B)
    values = [token.values for token in tokens.values()]
    if how == "concat":
        return Fused(torch.cat(values, 1), present.any(0))
    count = present.sum(0).clamp(min=1)[:, None]  # (B, 1)
    return Fused(torch.stack(values).sum(0) / count, present.any(0))


def vectors(spec: dict[str, TokenSpec], branches: int = 1) -> dict[str, TokenSpec]:
    """The sizes after pooling."""
    return {name: TokenSpec(token.dim * branches, "vector") for name, token in spec.items()}


def joint_spec(dim: int, tokens: dict[str, TokenSpec]) -> FusedSpec:
    """The size of the joint embedding and of each stain's own."""
    return FusedSpec(dim, "vector", by_modality=tokens)
