"""From one vector per modality to one vector per case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from pathfuse.core import Fused, Tokens, TokenSpec
from pathfuse.errors import RecipeError

How = Literal["mean", "concat"]


def joined_dim(tokens: dict[str, TokenSpec], how: How, asked_by: str) -> int:
    """Width of the joint embedding.

    Raises:
        RecipeError: if a mean is asked of vectors that differ in width.
    """
    if how == "concat":
        return sum(token.dim for token in tokens.values())
    return one_width(asked_by, tokens, "Set join: concat, or dim in the encoder.")


def joined(tokens: dict[str, Tokens], how: How) -> Fused:
    """Vectors (B, D), zeros where absent, side by side or averaged over the modalities that a case has."""
    if len(tokens) == 1:
        (only,) = tokens.values()
        return Fused(only.values, only.present)
    present = torch.stack([token.present for token in tokens.values()])  # (modalities, B)
    values = [token.values for token in tokens.values()]
    if how == "concat":
        return Fused(torch.cat(values, 1), present.any(0))
    count = present.sum(0).clamp(min=1)[:, None]  # (B, 1)
    return Fused(torch.stack(values).sum(0) / count, present.any(0))


def one_width(asked_by: str, tokens: Mapping[str, TokenSpec], advice: str) -> int:
    """The width that all tokens share.

    Args:
        asked_by: class name of the component.
        tokens: their sizes.
        advice: the next step for who has tokens of several widths, one sentence.

    Raises:
        RecipeError: if they differ.
    """
    widths = {token.dim for token in tokens.values()}
    if len(widths) > 1:
        sizes = ", ".join(f"{name} {token.dim}" for name, token in tokens.items())
        raise RecipeError(f"{asked_by}: the modalities differ in width ({sizes}). {advice}")
    return widths.pop()
