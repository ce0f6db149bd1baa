"""The published way to join one vector per modality."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from pathfuse.core import DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import check_counts, one_width, token_vector

Part = Literal["add", "multiply", "concatenate"]
PARTS: tuple[Part, ...] = ("add", "multiply", "concatenate")


class TailFusion(Fusion):
    """Sum, product and projected concatenation of the modalities, side by side through a linear layer and GELU.

    An absent modality is left out: it adds nothing, multiplies by one, and is zeros in the concatenation.

    Args:
        tokens: sizes of the encoder's tokens; all of one width. Bags and maps are averaged first.
        spec: sizes of the data.
        parts: which of `add`, `multiply` and `concatenate` are used; null uses all three.
        dim: width of the joint embedding; null is the width of the tokens.

    Source: WSMCL (Shi et al. 2025), fusion of the multi-modal branch.
    Departs: any number of modalities and any width; the policy for absent ones is ours, the paper has none.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        parts: list[Part] | None = None,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        check_counts("TailFusion", {"dim": dim})
        width = one_width("TailFusion", tokens, "Set width in the encoder.")
        self.parts = list(parts or PARTS)
        if not set(self.parts) <= set(PARTS) or len(set(self.parts)) < len(self.parts):
            raise RecipeError(f"TailFusion: parts are {', '.join(PARTS)}, each once; got {', '.join(self.parts)}.")
        self.names = tuple(tokens)
        self.side_by_side = nn.Linear(len(tokens) * width, width) if "concatenate" in self.parts else None
        self.mix = nn.Linear(len(self.parts) * width, dim or width)
        own = {name: TokenSpec(width, "vector") for name in tokens}
        self.out = FusedSpec(dim or width, "vector", by_modality=own)

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding (B, D)."""
        dtype = self.mix.weight.dtype
        own = {name: token_vector(tokens[name]).to(dtype) for name in self.names}  # (B, D), zeros where absent
        present = torch.stack([tokens[name].present for name in self.names])  # (modalities, B)
        values = torch.stack(list(own.values()))  # (modalities, B, D)
        made = []
        if "add" in self.parts:
            made.append(values.sum(0))
        if "multiply" in self.parts:
            made.append(torch.where(present[..., None], values, 1).prod(0))
        if self.side_by_side is not None:
            made.append(self.side_by_side(torch.cat(list(values), 1)))
        embedding = F.gelu(self.mix(torch.cat(made, 1)))
        return Fused(embedding, present.any(0), by_modality=own, tokens=tokens)
