"""An objective: what fusion block and head minimise, and a term that keeps scores small."""

from __future__ import annotations

import torch

from pathfuse.core import Batch, Model, Objective, Outcome


class TinyObjective(Objective):
    """One pass through the model, with a term `calm` that grows with the size of the scores.

    Args:
        power: exponent on the size of a score.
    """

    def __init__(self, *, power: float = 2.0) -> None:
        super().__init__()
        self.power = power

    def losses(self, model: Model, batch: Batch) -> Outcome:
        """The loss terms of a batch, and its prediction; a recipe names a weight for each term."""
        fused = model.fuse(batch)
        prediction = model.decide(fused)
        terms = {**model.fusion.loss(fused, batch), **model.head.loss(prediction, batch)}
        assert prediction.logits is not None
        size = prediction.logits.abs().pow(self.power).mean(1)  # (B,)
        shown = torch.where(prediction.present, size, 0.0)  # (B,)
        return Outcome({**terms, "calm": shown.sum() / prediction.present.sum().clamp(min=1)}, prediction)
