"""Drawn pictures of a piece of tissue on glass."""

from __future__ import annotations

import numpy as np

from pathfuse.slides.resample import Pixels
from pathfuse.slides.tissue import Mask

GLASS = (243, 243, 245)
STROMA, NUCLEI = (222, 150, 190), (110, 70, 150)  # eosin and haematoxylin
SHARE = 0.35  # of the picture's edge: the radius of the piece


def piece(size_px: int) -> Mask:
    """Where the tissue of `section` is, (H, W)."""
    rows, columns = np.ogrid[:size_px, :size_px]
    disc: Mask = (rows - size_px / 2) ** 2 + (columns - size_px / 2) ** 2 <= (SHARE * size_px) ** 2
    return disc


def section(size_px: int, seed: int = 0) -> Pixels:
    """A round piece of H&E on glass with the noise of a camera, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    nuclei = rng.random((size_px, size_px)) < 0.3
    image = np.where(nuclei[..., None], NUCLEI, STROMA) + rng.normal(0, 8, (size_px, size_px, 1))
    image = np.where(piece(size_px)[..., None], image, GLASS) + rng.normal(0, 0.6, (size_px, size_px, 3))
    return image.round().clip(0, 255).astype(np.uint8)


def glass(size_px: int) -> Pixels:
    """Empty glass, (H, W, 3)."""
    return np.full((size_px, size_px, 3), GLASS, np.uint8)
