"""Guided Grad-CAM: gradients that only pass where they speak for the class, times the Grad-CAM."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import ClassVar

from captum.attr import GuidedGradCam  # type: ignore[import-untyped]
from torch import Tensor, nn

from pathfuse.core import Batch, Explainer, Model
from pathfuse_captum.asking import class_scores, nothing, predicted, prepared, where_present
from pathfuse_captum.gradcam import pictured, refuse_one_cell, tapped, token_map
from pathfuse_captum.layers import layers_for_maps


class GuidedGradCAM(Explainer):
    """Guided backpropagation to the pixels times the Grad-CAM there, summed over channels.

    Gradients are guided through modules of ReLU alone; a network that calls ReLU as a function, or has another
    activation, is not guided, and its scores are then gradient times map.

    Args:
        layer: another layer to read the map at, by its name in the model; null is the one that the encoder names.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, section 3.2; Captum's GuidedGradCam on the logits, whose map is
        enlarged by repeating.
    """

    signed: ClassVar[bool] = True

    def __init__(self, *, layer: str | None = None) -> None:
        self.layer = layer

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores (B, H, W) per stain.

        Raises:
            RecipeError: if the model has no layer for maps or does not classify, or its map is a single cell.
        """
        layers = layers_for_maps(model, self.layer, "GuidedGradCAM")
        with prepared(model, batch) as own:
            names = pictured(model, own)
            classes = predicted(model, own, "GuidedGradCAM") if target is None else target.detach().clone()
            sums = {name: nothing(own, name) for name in names}
            for layer in layers.values():
                images = {name: own.image(name).detach().requires_grad_() for name in names}
                asked = replace(own, x={**own.x, **images})
                refuse_one_cell(
                    model, token_map(model, asked, layer, classes, relu=True), layer, batch, "GuidedGradCAM"
                )
                with tapped(layer) as tap, warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Setting backward hooks on ReLU", UserWarning)
                    guided = GuidedGradCam(_Logits(model, own, names), tap)
                    found = guided.attribute(tuple(images.values()), classes)
                for name, value in zip(names, found, strict=True):
                    if name in layer.reads:
                        sums[name] = sums[name] + value.detach().sum(1)
            return {name: where_present(own, name, value) for name, value in sums.items()}


class _Logits(nn.Module):
    """The model as a module of plain images, as Captum wants one to hook."""

    def __init__(self, model: Model, batch: Batch, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.batch = batch
        self.names = names

    def forward(self, *images: Tensor) -> Tensor:
        """The logits (B, C)."""
        x = {**self.batch.x, **dict(zip(self.names, images, strict=True))}
        return class_scores(self.model, replace(self.batch, x=x))
