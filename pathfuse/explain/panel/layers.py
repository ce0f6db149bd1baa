"""Pictures inside a page: the tissue, and a map to be laid over it, as data that the page carries along."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.explain.overlay import colours

LONGEST_PX = 512
"""Longer edge of a picture in the page."""

Pixels = NDArray[np.uint8]


def tissue_layer(pixels: Pixels) -> str:
    """A picture (H, W, 3) as a JPEG inside the page, reduced if it is large."""
    return _data(Image.fromarray(pixels), "JPEG")


def map_layer(values: NDArray[np.floating], *, faint: bool) -> str:
    """A map (H, W) in [0, 1], NaN where there is nothing, as a transparent picture in the colours of the scale.

    Args:
        values: the map.
        faint: low values let the tissue through; otherwise all of them cover it alike.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0).clip(0, 1)
    opacity = filled if faint else np.ones_like(filled)
    layers = np.concatenate([colours(filled), np.where(known, opacity, 0.0)[..., None]], axis=-1)
    return _data(Image.fromarray((layers * 255).round().astype(np.uint8), "RGBA"), "PNG")


def sheet_layer(patches: list[Pixels]) -> str:
    """Patches of one size side by side."""
    gap = np.full((patches[0].shape[0], 4, 3), 255, np.uint8)
    parts = [part for patch in patches for part in (patch, gap)][:-1]
    return _data(Image.fromarray(np.concatenate(parts, axis=1)), "JPEG", longest=2000)


def scale_css() -> str:
    """The colours of the scale from its lowest to its highest value, for a gradient of the page."""
    stops = (colours(np.linspace(0, 1, 9)) * 255).round().astype(int)
    return ", ".join(f"rgb({red},{green},{blue})" for red, green, blue in stops)


def _data(image: Image.Image, kind: str, longest: int = LONGEST_PX) -> str:
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, format=kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
