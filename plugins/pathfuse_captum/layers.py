"""Layers that class-activation maps are read at: the encoder's own, or one that is named."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

import torch
from torch import Tensor, nn
from torch.nn import functional

from pathfuse.core import CamLayer, Model
from pathfuse.errors import RecipeError, did_you_mean


def layers_for_maps(model: Model, name: str | None, asked_by: str) -> dict[str, CamLayer]:
    """Per token, the layer that its map is read at.

    A layer that is named belongs to the tokens whose own layer lies nearest to it in the tree of modules.

    Args:
        model: the model.
        name: of a module of the model; None takes the encoder's layers.
        asked_by: the explainer, for errors.

    Raises:
        RecipeError: if the encoder has no layer for maps, or none has that name.
    """
    layers = model.encoder.cam_layers()
    if not layers:
        kind = type(model.encoder).__name__
        raise RecipeError(f"{asked_by}: {kind} has no layer for class-activation maps. Name another explainer.")
    if name is None:
        return layers
    modules = dict(model.named_modules())
    if name not in modules or not name:
        raise RecipeError(
            f"{asked_by}: the model has no layer {name!r}.{did_you_mean(name, modules)} {_maps_of(modules)}"
        )
    places = {id(module): path for path, module in modules.items()}
    near = {token: _shared(name, places.get(id(layer.layer), "")) for token, layer in layers.items()}
    nearest = max(near.values())
    return {
        token: replace(layer, layer=modules[name], on_input=False)
        for token, layer in layers.items()
        if near[token] == nearest
    }


def refuse_no_map(layer: CamLayer, activation: object) -> None:
    """Refuses a named layer whose output is no map.

    Raises:
        RecipeError: if it is not.
    """
    shape = tuple(activation.shape) if isinstance(activation, Tensor) else None
    if shape is None or len(shape) not in (3, 4):
        what = "no tensor" if shape is None else f"a tensor of {len(shape)} dimensions"
        raise RecipeError(
            f"layer: {type(layer.layer).__name__} gives {what}, and a map has places. Name a layer before the pooling."
        )


def enlarge(cam: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Maps (B, h, w) at another size (B, H, W), bilinear with half-pixel centres."""
    return functional.interpolate(cam[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]


def _shared(one: str, other: str) -> int:
    """How many steps from the root two places have in common."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _maps_of(modules: dict[str, nn.Module]) -> str:
    found = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    if not found:
        return "It has no convolution."
    return f"Its last convolutions: {', '.join(found[-3:])}."
