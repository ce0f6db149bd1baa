"""Colour deconvolution: how much haematoxylin and DAB is in every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import ImageError
from pathfuse.slides.macenko import fit
from pathfuse.slides.resample import Pixels

Plane = NDArray[np.float32]
OD_PER_UNIT = 6.0
"""Optical density (base 10) of one unit: scikit-image divides by the density of a millionth of the light."""

# Ruifrok and Johnston's vectors as scikit-image has them for haematoxylin with DAB (`hdx_from_rgb`).
_H_DAB = np.array([[0.650, 0.704, 0.286], [0.268, 0.570, 0.776]])
_DARKEST = 1e-6


@dataclass(frozen=True, eq=False)
class StainVectors:
    """The colours of two stains.

    Attributes:
        rows: (2, 3) optical density of haematoxylin and DAB in red, green and blue.
    """

    rows: NDArray[np.float64]

    @property
    def unmix(self) -> NDArray[np.float64]:
        """(3, 3): optical densities of a pixel to haematoxylin, DAB, and what neither explains."""
        inverse: NDArray[np.float64] = np.linalg.inv(np.vstack([self.rows, np.cross(*self.rows)]))
        return inverse


H_DAB = StainVectors(_H_DAB)


def separate(rgb: Pixels, stains: StainVectors = H_DAB) -> tuple[Plane, Plane]:
    """Haematoxylin and DAB of every pixel, each (H, W), in scikit-image's unit, never negative.

    The values are those of `skimage.color.separate_stains(rgb, skimage.color.hdx_from_rgb)`, to 1e-6, from a table of
    256 densities instead of a logarithm per pixel.

    Args:
        rgb: uint8, (H, W, 3).
        stains: their colours.

    Raises:
        ImageError: if it is no 8-bit RGB image.

    Source: Ruifrok and Johnston 2001, "Quantification of histochemical staining by color deconvolution".
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f"colour deconvolution needs uint8 RGB of shape (H, W, 3), got {rgb.dtype} {rgb.shape}.")
    density = np.log(np.maximum(np.arange(256) / 255, _DARKEST)) / np.log(_DARKEST)  # (256,)
    unmix = stains.unmix
    found = []
    for stain in (0, 1):
        tables = (density[:, None] * unmix[None, :, stain]).astype(np.float32)  # (256, 3)
        amount = tables[rgb[..., 0], 0]
        amount += tables[rgb[..., 1], 1]
        amount += tables[rgb[..., 2], 2]
        found.append(np.maximum(amount, 0, out=amount))
    return found[0], found[1]


def estimated(rgb: Pixels) -> StainVectors | None:
    """The two stain colours of a slide itself, by Macenko's method; None where it does not show two.

    Args:
        rgb: a picture of the tissue, uint8, (H, W, 3).
    """
    found = fit(rgb)
    if found is None:
        return None
    rows = found.HE.T / np.linalg.norm(found.HE.T, axis=1, keepdims=True)
    # Brown absorbs blue most of all, haematoxylin red: whichever is the bluer absorber is the DAB.
    blue = rows[:, 2] / rows[:, 0].clip(1e-3)
    return StainVectors(rows[np.argsort(blue)])
