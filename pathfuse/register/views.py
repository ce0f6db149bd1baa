"""Views of a slide for registration: its optical density and tissue at a coarse spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide
from pathfuse.slides.tissue import Mask, Tissue, tissue_mask

Plane = NDArray[np.float32]
_GLASS_TOP = 99.5  # percentile of brightness among what is no tissue: clear glass
_LEAST_GLASS_PX = 64
_QUIET = 0.02  # optical density; contrast below it is noise, and dividing by it would make a pattern of it


@dataclass(frozen=True, eq=False)
class View:
    """A slide at one spacing.

    Attributes:
        rgb: the picture, (H, W, 3).
        density: optical density in red light against the slide's own glass, (H, W).
        tissue: which pixels are tissue, (H, W).
        pitch: micrometres per pixel, across and down; the centre of pixel (0, 0) lies at half of it.
    """

    rgb: Pixels
    density: Plane
    tissue: Mask
    pitch: tuple[float, float]

    @property
    def mpp(self) -> float:
        """Micrometres per pixel, the mean of both directions."""
        return (self.pitch[0] + self.pitch[1]) / 2

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue."""
        return float(np.count_nonzero(self.tissue)) * self.pitch[0] * self.pitch[1] * 1e-6

    def points(self, step: int = 1) -> NDArray[np.float64]:
        """Centres of every `step`-th pixel in either direction that is tissue, (N, 2) x and y in micrometres."""
        rows, columns = np.nonzero(self.tissue[step // 2 :: step, step // 2 :: step])
        at = np.stack([columns, rows], axis=1) * step + step // 2
        return np.asarray((at + 0.5) * self.pitch, np.float64)


TISSUE_UM = 8.0  # the rules of tissue are made for this spacing


def view(slide: Slide, mpp: float, rule: Tissue, coarse: View | None = None) -> View:
    """Looks at a slide.

    Args:
        slide: open.
        mpp: wanted micrometres per pixel; a slide that is coarser is taken as it is.
        rule: how tissue is told from glass.
        coarse: the slide at `TISSUE_UM` or coarser, whose tissue is taken; None looks for tissue at this spacing.
    """
    rgb = slide.overview(mpp)
    height, width, _ = rgb.shape
    pitch = (slide.size[0] * slide.mpp / width, slide.size[1] * slide.mpp / height)
    if coarse is None:
        tissue = tissue_mask(rgb, (pitch[0] + pitch[1]) / 2, rule)
    else:
        rows, columns = (
            (np.arange(fine) * edge // fine) for fine, edge in zip((height, width), coarse.tissue.shape, strict=True)
        )
        tissue = coarse.tissue[np.ix_(rows, columns)]
    return View(rgb, optical_density(rgb, tissue), tissue, pitch)


def optical_density(rgb: Pixels, tissue: Mask) -> Plane:
    """Optical density in red light against clear glass, never negative, (H, W).

    Haematoxylin absorbs red, and so do brown and red chromogens in part; eosin lets it through. Red light therefore
    shows nuclei in every stain alike, while the mean of the channels shows collagen dark in H&E and pale in IHC.
    """
    red = rgb[..., 0]
    clear = red[~tissue]
    white = float(np.percentile(clear, _GLASS_TOP)) if len(clear) >= _LEAST_GLASS_PX else 255.0
    table = -np.log10((np.arange(256) + 1) / (max(white, 128.0) + 1))  # (256,)
    plane: Plane = np.maximum(table[red], 0).astype(np.float32)
    return plane


def texture(density: Plane, tissue: Mask, sigma_px: float) -> Plane:
    """Local contrast of an optical density: mean 0 and deviation 1 around every pixel of tissue, 0 elsewhere, (H, W).

    Stains differ in how dark tissue is over a distance, and agree in where it is darker than its surroundings.

    Args:
        density: (H, W).
        tissue: (H, W).
        sigma_px: how far "around" reaches.
    """
    weight = tissue.astype(np.float32)
    total = np.maximum(gaussian_filter(weight, sigma_px), 1e-3)
    mean = gaussian_filter(density * weight, sigma_px) / total
    centred = (density - mean) * weight
    spread = np.sqrt(gaussian_filter(centred * centred, sigma_px) / total)
    contrast: Plane = np.clip(centred / (spread + _QUIET), -3, 3).astype(np.float32)
    return contrast
