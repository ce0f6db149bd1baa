"""The few layers of a head."""

from __future__ import annotations

from torch import Tensor, nn


class Layers(nn.Sequential):
    """Layers one after another, which take features to the precision of their weights."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, D) to (B, D')."""
        features = features.to(next(self.parameters()).dtype)
        for layer in self:
            features = layer(features)
        return features


def classifier(dim: int, out: int, hidden: int | None, dropout: float) -> Layers:
    """One linear layer, or two with ReLU between them; dropout before each."""
    if hidden is None:
        return Layers(nn.Dropout(dropout), nn.Linear(dim, out))
    return Layers(nn.Dropout(dropout), nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, out))
