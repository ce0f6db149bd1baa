"""An encoder of bags: every patch through one layer."""

from __future__ import annotations

from torch import nn

from pathfuse.core import Batch, DataSpec, Encoder, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared


class TinyEncoder(Encoder):
    """One linear layer with ReLU for the patches of each stain.

    Args:
        spec: the data.
        dim: width of the tokens.
    """

    order_free = True

    def __init__(self, spec: DataSpec, *, dim: int = 64) -> None:
        super().__init__()
        # What a component is not made for, it refuses here, in one line; the kit then checks the rest.
        if any(modality.kind != "features" for modality in spec.modalities):
            raise RecipeError(f"{type(self).__name__} reads bags of features. Choose a data module that gives them.")
        self.dim = dim
        self.reads = spec.names
        self.layers = nn.ModuleDict({modality.name: nn.Linear(modality.width, dim) for modality in spec.modalities})
        self.out = {name: TokenSpec(dim, "packed") for name in spec.names}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A packed token (T, D) per stain."""
        tokens = {}
        for name in self.reads:
            bags, present = batch.bags(name)
            values = cleared(bags.values, present[bags.owner])  # (T, D); absent rows hold anything
            tokens[name] = Tokens(self.layers[name](values).relu(), present, bags.lengths)
        return tokens
