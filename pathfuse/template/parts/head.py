"""A head: one linear layer and cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Head, Prediction
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared


class TinyHead(Head):
    """Class scores of a vector.

    Args:
        fused: size of the joint embedding.
        spec: the data, for its classes.
        label_smoothing: share of the target that is spread over all classes.
    """

    def __init__(self, fused: FusedSpec, spec: DataSpec, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if fused.layout != "vector":
            raise RecipeError(f"{type(self).__name__} takes a vector per case. Choose a fusion block that gives one.")
        self.label_smoothing = label_smoothing
        self.classify = nn.Linear(fused.dim, len(spec.classes))

    def forward(self, fused: Fused) -> Prediction:
        """Scores (B, C)."""
        return Prediction(fused.present, self.classify(cleared(fused.embedding, fused.present)))

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the labelled cases that have a stain."""
        assert prediction.logits is not None
        target = torch.where(prediction.present, batch.target, -1)  # (B,)
        total = F.cross_entropy(
            prediction.logits, target, ignore_index=-1, reduction="sum", label_smoothing=self.label_smoothing
        )
        return {"classification": total / (target >= 0).sum().clamp(min=1)}
