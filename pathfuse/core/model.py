"""The model: encoder, fusion and head as one plain module."""

from __future__ import annotations

from torch import nn

from pathfuse.core.batch import Batch
from pathfuse.core.components import Encoder, Fusion, Head
from pathfuse.core.promises import check_fused, check_prediction, check_tokens
from pathfuse.core.spec import DataSpec
from pathfuse.core.tokens import Fused, Prediction


class Model(nn.Module):
    """What `pathfuse.load` returns and explainers get: `model(batch)` is the prediction.

    Args:
        encoder: makes tokens of the modalities.
        fusion: joins them.
        head: predicts.
        spec: the sizes it was built for, for whoever makes a batch for it.
    """

    def __init__(self, encoder: Encoder, fusion: Fusion, head: Head, spec: DataSpec | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = encoder
        self.fusion = fusion
        self.head = head

    @property
    def reads(self) -> tuple[str, ...]:
        """The modalities that the model looks at."""
        return self.encoder.reads

    @property
    def explained_by(self) -> str | None:
        """The explainer that fusion block or encoder ask for where nobody names one."""
        return self.fusion.explained_by or self.encoder.explained_by

    def fuse(self, batch: Batch) -> Fused:
        """The joint embedding of the batch, before the head.

        Raises:
            PluginError: if encoder or fusion block return other sizes than they promised.
        """
        tokens = self.encoder(batch)
        check_tokens(self.encoder, tokens, len(batch))
        fused: Fused = self.fusion(tokens)
        check_fused(self.fusion, fused, len(batch))
        return fused

    def decide(self, fused: Fused) -> Prediction:
        """What the head makes of a joint embedding."""
        prediction: Prediction = self.head(fused)
        check_prediction(self.head, prediction, len(fused.present), self.spec)
        return prediction

    def forward(self, batch: Batch) -> Prediction:
        """The prediction for the batch."""
        return self.decide(self.fuse(batch))
