"""The plain ways to join stains: average them, or put them side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pathfuse.core import DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.core.tokens import Layout
from pathfuse.errors import RecipeError


class MeanFusion(Fusion):
    """The mean over the stains that a case has. An absent stain takes no part in it.

    Args:
        tokens: sizes of the encoder's tokens; all of one width.
        spec: sizes of the data.
        keep_map: average maps position by position instead of pooling each to a vector first.
    """

    def __init__(self, tokens: dict[str, TokenSpec], spec: DataSpec, *, keep_map: bool = False) -> None:
        super().__init__()
        widths = {token.dim for token in tokens.values()}
        if len(widths) > 1:
            sizes = ", ".join(f"{name} {token.dim}" for name, token in tokens.items())
            raise RecipeError(f"MeanFusion: the tokens differ in width ({sizes}). Use ConcatFusion instead.")
        if keep_map and any(token.layout != "map" for token in tokens.values()):
            raise RecipeError("MeanFusion: keep_map needs tokens that are maps. Set global_pool: none in the backbone.")
        self.keep_map = keep_map
        layout: Layout = "map" if keep_map else "vector"
        by_modality = {name: TokenSpec(token.dim, layout) for name, token in tokens.items()}
        self.out = FusedSpec(widths.pop(), layout, by_modality)

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The mean embedding (B, D) or (B, D, h, w); zeros where a case has no stain at all."""
        own = {name: cleared(token) if self.keep_map else pooled(token) for name, token in tokens.items()}
        present = torch.stack([token.present for token in tokens.values()])  # (stains, B)
        values = torch.stack(list(own.values()))  # (stains, B, D, ...)
        count = present.sum(0).clamp(min=1).view(-1, *[1] * (values.dim() - 2))  # (B, 1, ...)
        return Fused(values.sum(0) / count, present.any(0), by_modality=own, tokens=tokens)


class ConcatFusion(Fusion):
    """The stains side by side, through one linear layer. An absent stain is replaced by a learned vector.

    Args:
        tokens: sizes of the encoder's tokens; their widths may differ.
        spec: sizes of the data.
        dim: width of the joint embedding.
    """

    def __init__(self, tokens: dict[str, TokenSpec], spec: DataSpec, *, dim: int = 256) -> None:
        super().__init__()
        self.dim = dim
        self.names = tuple(tokens)
        self.absent = nn.ParameterList([nn.Parameter(torch.zeros(token.dim)) for token in tokens.values()])
        self.project = nn.Linear(sum(token.dim for token in tokens.values()), dim)
        by_modality = {name: TokenSpec(token.dim, "vector") for name, token in tokens.items()}
        self.out = FusedSpec(dim, "vector", by_modality)

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding (B, D)."""
        own = {name: pooled(tokens[name]) for name in self.names}  # (B, D) each
        filled = [
            torch.where(tokens[name].present[:, None], own[name], absent.to(own[name].dtype))
            for name, absent in zip(self.names, self.absent, strict=True)
        ]
        present = torch.stack([tokens[name].present for name in self.names]).any(0)
        return Fused(self.project(torch.cat(filled, dim=1)), present, by_modality=own, tokens=tokens)


def cleared(token: Tokens) -> Tensor:
    """Vectors or maps with zeros in the absent rows."""
    rows = token.present.view(-1, *[1] * (token.values.dim() - 1))
    return torch.where(rows, token.values, token.values.new_zeros(()))


def pooled(token: Tokens) -> Tensor:
    """Any token as one vector (B, D) per case: maps and bags are averaged, absent rows are zeros."""
    if token.lengths is None:
        values = cleared(token)
        return values if values.dim() == 2 else values.mean(dim=(2, 3))  # (B, D)
    cases = len(token.lengths)
    owner = torch.repeat_interleave(token.lengths, output_size=token.values.shape[0])  # (T,)
    values = torch.where(token.present[owner][:, None], token.values, token.values.new_zeros(()))  # (T, D)
    total = values.new_zeros(cases, values.shape[1]).index_add(0, owner, values)  # (B, D)
    return total / token.lengths.clamp(min=1)[:, None].to(values.dtype)
