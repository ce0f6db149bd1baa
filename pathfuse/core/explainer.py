"""The slot of explainers: maps of where a model looked."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from pathfuse.core.batch import Batch
from pathfuse.core.model import Model


class Explainer(ABC):
    """Shows where a model looked. Options of the recipe are keyword-only constructor arguments."""

    @abstractmethod
    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Maps (B, H, W) in [0, 1] per modality, at the size of that modality's images.

        Args:
            model: the model in eval mode; it is not changed.
            batch: B cases.
            target: (B,) long, the class to explain; None explains the predicted one.
        """
