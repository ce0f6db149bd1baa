"""An explainer: how much the score moves with every pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.core import Batch, Explainer, Model


class TinyGradient(Explainer):
    """The size of the gradient of the score by the pixels of an image, scaled to [0, 1] per case.

    Args:
        power: exponent on the map; below 1 lifts what is faint.
    """

    def __init__(self, *, power: float = 1.0) -> None:
        self.power = power

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Maps (B, H, W) of the stains that the model reads."""
        with torch.enable_grad():
            # Copies: neither the batch nor the model may be changed.
            images = {name: batch.image(name).detach().clone().requires_grad_() for name in model.reads}
            shown = Batch({**batch.x, **images}, batch.present, batch.target, batch.case_ids, batch.patient_ids)
            scores = model(shown).logits  # (B, C)
            chosen = scores.argmax(1) if target is None else target
            total = scores.gather(1, chosen[:, None]).sum()
            slopes = torch.autograd.grad(total, list(images.values()), allow_unused=True)
        return {name: self._map(batch.image(name), slope) for name, slope in zip(images, slopes, strict=True)}

    def _map(self, image: Tensor, slope: Tensor | None) -> Tensor:
        size = image.new_zeros(image.shape) if slope is None else slope.abs()  # (B, C, H, W)
        flat = size.sum(1)  # (B, H, W)
        highest = flat.amax((1, 2), keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        return (flat / highest) ** self.power
