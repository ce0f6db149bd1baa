"""Tables of the patients, and whatever else a case has one vector of."""

from __future__ import annotations

from torch import nn

from pathfuse.core import Batch, DataSpec, Encoder, Tokens, TokenSpec
from pathfuse.nn import check_counts, check_once, check_shares, cleared, modality_of_kind


class VectorEncoder(Encoder):
    """One vector per case, such as the clinical columns of a table, through two layers.

    Linear, ReLU, dropout, linear. Every modality has layers of its own.

    Args:
        spec: sizes of the data.
        dim: width of the token; fusion blocks that average need that of the other modalities.
        hidden: width between the layers.
        dropout: part of the hidden units that is dropped in training.
        modalities: the vectors; null takes all modalities.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        dim: int = 64,
        hidden: int = 64,
        dropout: float = 0.0,
        modalities: list[str] | None = None,
    ) -> None:
        super().__init__()
        check_once("VectorEncoder", modalities)
        check_counts("VectorEncoder", {"dim": dim, "hidden": hidden})
        check_shares("VectorEncoder", {"dropout": dropout})
        self.modalities = modalities
        self.reads = tuple(modalities or spec.names)
        vectors = [modality_of_kind(spec, modality, "vector", "VectorEncoder") for modality in self.reads]
        self.layers = nn.ModuleDict(
            {
                vector.name: nn.Sequential(
                    nn.Linear(vector.width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
                )
                for vector in vectors
            }
        )
        self.out = {modality: TokenSpec(dim, "vector") for modality in self.reads}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A vector token (B, D) per modality."""
        return {modality: self._token(batch, modality) for modality in self.reads}

    def _token(self, batch: Batch, modality: str) -> Tokens:
        present = batch.present[modality]
        values = cleared(batch.vector(modality), present)  # (B, width)
        layers = self.layers[modality]
        return Tokens(layers(values.to(next(layers.parameters()).dtype)), present)
