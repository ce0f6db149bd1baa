"""The published way to join one vector per stain."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn.options import check_counts

Part = Literal["add", "multiply", "concatenate"]
PARTS: tuple[Part, ...] = ("add", "multiply", "concatenate")


class TailFusion(Fusion):
    """The sum, the product and a projected concatenation of the stains, side by side through a linear layer and GELU.

    An absent stain is left out: it adds nothing, multiplies by one, and is zeros in the concatenation.

    Args:
        tokens: sizes of the encoder's tokens; all of one width. Bags and maps are averaged first.
        spec: sizes of the data.
        parts: which of `add`, `multiply` and `concatenate` are used; null uses all three.
        dim: width of the joint embedding; null is the width of the tokens.

    Source: WSMCL (Shi et al. 2025), fusion of the multi-modal branch.
    Departs: any number of stains and any width; the policy for absent stains is ours, the paper has none.
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
        widths = {token.dim for token in tokens.values()}
        if len(widths) > 1:
            sizes = ", ".join(f"{name} {token.dim}" for name, token in tokens.items())
            raise RecipeError(f"TailFusion: the tokens differ in width ({sizes}). Set width in the encoder.")
        self.parts = list(parts or PARTS)
        if not set(self.parts) <= set(PARTS) or len(set(self.parts)) < len(self.parts):
            raise RecipeError(f"TailFusion: parts are {', '.join(PARTS)}, each once; got {', '.join(self.parts)}.")
        width = widths.pop()
        self.names = tuple(tokens)
        self.side_by_side = nn.Linear(len(tokens) * width, width) if "concatenate" in self.parts else None
        self.mix = nn.Linear(len(self.parts) * width, dim or width)
        own = {name: TokenSpec(width, "vector") for name in tokens}
        self.out = FusedSpec(dim or width, "vector", by_modality=own)

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding (B, D)."""
        dtype = self.mix.weight.dtype
        own = {name: case_vector(tokens[name]).to(dtype) for name in self.names}  # (B, D), zeros where absent
        present = torch.stack([tokens[name].present for name in self.names])  # (stains, B)
        values = torch.stack(list(own.values()))  # (stains, B, D)
        made = []
        if "add" in self.parts:
            made.append(values.sum(0))
        if "multiply" in self.parts:
            made.append(torch.where(present[..., None], values, 1).prod(0))
        if self.side_by_side is not None:
            made.append(self.side_by_side(torch.cat(list(values), 1)))
        embedding = F.gelu(self.mix(torch.cat(made, 1)))
        return Fused(embedding, present.any(0), by_modality=own, tokens=tokens)


def case_vector(token: Tokens) -> Tensor:
    """Any token as one vector (B, D) per case, zeros where it is absent; an absent row is not read."""
    if token.lengths is not None:
        return packed_mean(token)
    values = torch.where(token.present.view(-1, *[1] * (token.values.dim() - 1)), token.values, 0)
    return values if values.dim() == 2 else values.mean((2, 3))


def packed_mean(token: Tokens) -> Tensor:
    """The mean (B, D) over the patches of every present case."""
    assert token.lengths is not None
    # A half-precision sum over many patches would lose the small ones.
    dtype = token.values.dtype if token.values.dtype.itemsize >= 4 else torch.float32
    shown = (token.present & (token.lengths > 0)).tolist()
    sums = [
        bag.sum(0, dtype=dtype) if there else bag.new_zeros(bag.shape[1], dtype=dtype)
        for bag, there in zip(torch.split(token.values, token.lengths.tolist()), shown, strict=True)
    ]
    return torch.stack(sums) / token.lengths.clamp(min=1)[:, None].to(dtype)
