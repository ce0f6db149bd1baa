"""Grad-CAM: which places of the last feature map speak for the class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from captum.attr import LayerGradCam  # type: ignore[import-untyped]
from torch import Tensor, nn

from pathfuse.core import Batch, CamLayer, Explainer, Model, as_map
from pathfuse.errors import RecipeError
from pathfuse_captum.asking import class_scores, predicted, prepared
from pathfuse_captum.layers import enlarge, layers_for_maps, refuse_no_map


class GradCAM(Explainer):
    """Grad-CAM of every token, up-sampled to its stain and scaled to [0, 1] per image.

    The encoder says where the map is read: a conv net's last feature map, or what enters a transformer's last
    attention, without prefix tokens. The map of a token that reads several stains is returned for each of them, and
    a stain that several tokens read gets their mean.

    Args:
        relu: keep what speaks for the class only; false keeps evidence against it too, as low values.
        layer: another layer to read the map at, by its name in the model, such as `encoder.backbone.net.layer3`; null
            is the one that the encoder names.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2, computed by Captum's LayerGradCam on the logits.
    """

    def __init__(self, *, relu: bool = True, layer: str | None = None) -> None:
        self.relu = relu
        self.layer = layer

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Maps (B, H, W) in [0, 1] per stain; zeros where the stain is absent, or nothing speaks for the class.

        Args:
            model: the model; training mode, gradient flags and hooks are as before afterwards.
            batch: B cases.
            target: (B,) long, the class to explain; None explains the predicted one.

        Raises:
            RecipeError: if the model has no layer for maps or does not classify, or its map is a single cell.
        """
        layers = layers_for_maps(model, self.layer, "GradCAM")
        found: dict[str, list[Tensor]] = {}
        with prepared(model, batch) as own:
            inputs = {m: own.image(m).detach().requires_grad_() for m in pictured(model, own)}
            own = replace(own, x={**own.x, **inputs})
            classes = predicted(model, own, "GradCAM") if target is None else target.detach().clone()
            for layer in layers.values():
                cam = token_map(model, own, layer, classes, relu=self.relu)
                refuse_one_cell(model, cam, layer, batch, "GradCAM")
                for modality in layer.reads:
                    found.setdefault(modality, []).append(scale(enlarge(cam, batch.image(modality).shape[-2:])))
        maps = {m: scale(torch.stack(cams).mean(0)) if len(cams) > 1 else cams[0] for m, cams in found.items()}
        return {m: torch.where(batch.present[m].view(-1, 1, 1), cam, 0.0) for m, cam in maps.items()}


def refuse_one_cell(model: Model, cam: Tensor, layer: CamLayer, batch: Batch, asked_by: str) -> None:
    """Refuses a map of one cell: it says of the whole image what the prediction says, and of no place anything."""
    if cam[0].numel() > 1:
        return
    edge = "x".join(map(str, batch.image(layer.reads[0]).shape[-2:]))
    raise RecipeError(
        f"{asked_by}: the feature map of {type(model.encoder).__name__} has one cell for images of {edge} px, so it "
        "tells no places apart. Train on larger images (--data.size_px) or with a network that reduces them less."
    )


def token_map(model: Model, batch: Batch, layer: CamLayer, target: Tensor, *, relu: bool) -> Tensor:
    """The Grad-CAM (B, h, w) of one layer, at the layer's own size.

    Args:
        model: the model in eval mode.
        batch: B cases whose images ask for gradients, so that they reach a frozen layer.
        layer: where the activation is read.
        target: (B,) long, the class of each case.
        relu: set negative places to zero.
    """
    names = pictured(model, batch)

    def logits(*images: Tensor) -> Tensor:
        return class_scores(model, replace(batch, x={**batch.x, **dict(zip(names, images, strict=True))}))

    with tapped(layer) as tap:
        images = tuple(batch.image(name) for name in names)
        cam: Tensor = LayerGradCam(logits, tap).attribute(images, target, relu_attributions=relu)  # (B, 1, h, w)
    return cam.detach().squeeze(1)  # (B, h, w)


def pictured(model: Model, batch: Batch) -> list[str]:
    """The modalities that the model reads as images; a table beside them is left as it is."""
    values = {name: batch.x[name] for name in model.reads}
    return [name for name, value in values.items() if isinstance(value, Tensor) and value.dim() == 4]


@contextmanager
def tapped(layer: CamLayer) -> Iterator[nn.Module]:
    """Within the block, the layer's activation passes through the returned module as a map (B, D, h, w).

    Captum's arithmetic is right for maps only: on tokens (B, N, D) it would average over the width. The module takes
    the map out of the activation and puts it back, so that nothing else in the network notices.
    """
    tap = nn.Identity()

    def through(activation: Tensor) -> Tensor:
        refuse_no_map(layer, activation)
        place = layer.to_map(torch.arange(activation.numel(), device=activation.device).view(activation.shape))
        mapped = tap(layer.to_map(activation))  # (B, D, h, w)
        return activation.flatten().scatter(0, place.flatten(), mapped.flatten()).view(activation.shape)

    def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (through(inputs[0]), *inputs[1:])

    def after(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return through(output)

    register: Callable[..., torch.utils.hooks.RemovableHandle] = (
        layer.layer.register_forward_pre_hook if layer.on_input else layer.layer.register_forward_hook
    )
    handle = register(before if layer.on_input else after)
    try:
        yield tap
    finally:
        handle.remove()


def scale(cam: Tensor) -> Tensor:
    """Maps (B, H, W) by their own minimum and maximum to [0, 1]; a map that is flat but for rounding becomes zeros."""
    return as_map(cam, signed=False)
