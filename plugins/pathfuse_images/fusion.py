"""The plain ways to join modalities: average them, or put them side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pathfuse.core import DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.core.tokens import Layout
from pathfuse.errors import RecipeError
from pathfuse.nn import at_least_float, cleared, one_width, token_vector


class MeanFusion(Fusion):
    """The mean over the modalities that a case has; an absent one takes no part in it.

    Bags and maps are averaged first.

    Args:
        tokens: sizes of the encoder's tokens; all of one width.
        spec: sizes of the data.
        keep_map: average maps position by position instead of pooling each to a vector first.
    """

    def __init__(self, tokens: dict[str, TokenSpec], spec: DataSpec, *, keep_map: bool = False) -> None:
        super().__init__()
        width = one_width("MeanFusion", tokens, "Use ConcatFusion instead.")
        if keep_map and any(token.layout != "map" for token in tokens.values()):
            raise RecipeError("MeanFusion: keep_map needs tokens that are maps. Set global_pool: none in the backbone.")
        self.keep_map = keep_map
        layout: Layout = "map" if keep_map else "vector"
        by_modality = {name: TokenSpec(token.dim, layout) for name, token in tokens.items()}
        self.out = FusedSpec(width, layout, by_modality)

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The mean embedding (B, D) or (B, D, h, w); zeros where a case has no modality at all."""
        own = {name: self._own(token) for name, token in tokens.items()}
        present = torch.stack([token.present for token in tokens.values()])  # (modalities, B)
        values = torch.stack(list(own.values()))  # (modalities, B, D, ...)
        count = present.sum(0).clamp(min=1).view(-1, *[1] * (values.dim() - 2))  # (B, 1, ...)
        mean = (at_least_float(values).sum(0) / count).to(values.dtype)
        return Fused(mean, present.any(0), by_modality=own, tokens=tokens)

    def _own(self, token: Tokens) -> Tensor:
        return cleared(token.values, token.present) if self.keep_map else token_vector(token)


class ConcatFusion(Fusion):
    """The modalities side by side, through one linear layer. An absent one is replaced by a learned vector.

    Bags and maps are averaged first.

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
        own = {name: token_vector(tokens[name]) for name in self.names}  # (B, D) each
        filled = [
            torch.where(tokens[name].present[:, None], own[name], absent.to(own[name].dtype))
            for name, absent in zip(self.names, self.absent, strict=True)
        ]
        present = torch.stack([tokens[name].present for name in self.names]).any(0)
        joint = torch.cat(filled, dim=1).to(self.project.weight.dtype)  # (B, sum of D)
        return Fused(self.project(joint), present, by_modality=own, tokens=tokens)
