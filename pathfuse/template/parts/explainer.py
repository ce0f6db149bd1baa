"""An explainer: how much the score moves with every pixel."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pathfuse.core import Batch, Explainer, Model


class TinyExplainer(Explainer):
    """The size of the gradient of the score by the pixels of an image, scaled to [0, 1] per case.

    Args:
        power: exponent on the map; below 1 lifts what is faint.
    """

    def __init__(self, *, power: float = 1.0) -> None:
        self.power = power

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Maps (B, H, W) of the images that the model reads; an absent one has a map of zeros."""
        own = batch.select(torch.arange(len(batch)))  # a copy: neither the batch nor the model may be changed
        values = {name: own.x[name] for name in model.reads}
        pictures = {name: x for name, x in values.items() if isinstance(x, Tensor) and x.dim() == 4}
        with torch.inference_mode(False), torch.enable_grad():
            images = {name: image.detach().clone().requires_grad_() for name, image in pictures.items()}
            scores = model(replace(own, x={**own.x, **images})).logits  # (B, C)
            chosen = scores.argmax(1) if target is None else target.clone()
            total = scores.gather(1, chosen[:, None]).sum()
            slopes = torch.autograd.grad(total, list(images.values()), allow_unused=True)
        maps = {name: self._map(pictures[name], slope) for name, slope in zip(images, slopes, strict=True)}
        return {name: torch.where(batch.present[name].view(-1, 1, 1), one, 0.0) for name, one in maps.items()}

    def _map(self, image: Tensor, slope: Tensor | None) -> Tensor:
        size = image.new_zeros(image.shape) if slope is None else slope.abs()  # (B, C, H, W)
        flat = size.sum(1)  # (B, H, W)
        highest = flat.amax((1, 2), keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        return (flat / highest) ** self.power
