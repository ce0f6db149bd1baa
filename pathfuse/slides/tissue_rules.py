"""Our tissue rules: one for H&E, one for immunohistochemistry."""

# mypy: disable-error-code="no-untyped-call"
# scikit-image ships annotations for a part of its functions only.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter  # type: ignore[import-untyped]
from skimage.color import rgb2hsv, rgb2lab
from skimage.filters import apply_hysteresis_threshold, gaussian, rank, threshold_otsu
from skimage.morphology import (
    isotropic_closing,
    isotropic_dilation,
    isotropic_opening,
    remove_small_holes,
    remove_small_objects,
)

from pathfuse.slides.resample import Pixels
from pathfuse.slides.tissue import Mask, Tissue

Array = NDArray[Any]

SMOOTH_PX = 7
CLOSE_PX = 4
EDGE_PX = 6  # half the width of a coverslip edge, about 100 um
HALO_PX = 4  # around a marker
STROKE_PX = 6  # half the width of the thinnest stroke, about 100 um
RIM_PX = 20  # how far its faint rim reaches, about 160 um
ROUGH = 1.2  # units of lightness
MIN_SHARE = 0.05  # of the picture: a region of interest smaller than a square millimetre keeps its smaller pieces


@dataclass(frozen=True, kw_only=True)
class HETissue(Tissue):
    """Saturation above Otsu's threshold after a median, within bounds on brightness.

    Args:
        drop_pen: leave out red, green, blue and black marker.
        min_piece_mm2: smaller pieces are dirt.
        min_hole_mm2: smaller holes are filled.

    Source: CLAM, Lu et al. 2021, arXiv:2004.09666.
    Departs: Otsu's threshold is bounded above as well.
    """

    drop_pen: bool = True
    min_piece_mm2: float = 0.1
    min_hole_mm2: float = 0.02

    def __call__(self, overview: Pixels, mpp: float) -> Mask:
        """Which pixels are tissue, (H, W)."""
        return _clean(_he(overview, self.drop_pen), mpp, self.min_piece_mm2, self.min_hole_mm2)


@dataclass(frozen=True, kw_only=True)
class IHCTissue(Tissue):
    """Colour against that of the slide's own glass, which also holds for a pale blue counterstain and strong DAB.

    Args:
        drop_pen: leave out red, green, blue and black marker.
        min_piece_mm2: smaller pieces are dirt.
        min_hole_mm2: smaller holes are filled.

    Source: our own.
    """

    drop_pen: bool = True
    min_piece_mm2: float = 0.1
    min_hole_mm2: float = 0.02

    def __call__(self, overview: Pixels, mpp: float) -> Mask:
        """Which pixels are tissue, (H, W)."""
        return _clean(_ihc(overview, self.drop_pen), mpp, self.min_piece_mm2, self.min_hole_mm2)


def _clean(mask: Mask, mpp: float, min_piece_mm2: float, min_hole_mm2: float) -> Mask:
    area = (mpp / 1000) ** 2  # mm2 of a pixel
    piece, hole = (min(mm2 / area, MIN_SHARE * mask.size) for mm2 in (min_piece_mm2, min_hole_mm2))
    padded = np.pad(mask, CLOSE_PX + 1)  # closing would otherwise stick to the edge of the picture
    closed = isotropic_closing(padded, CLOSE_PX)[CLOSE_PX + 1 : -CLOSE_PX - 1, CLOSE_PX + 1 : -CLOSE_PX - 1]
    kept = remove_small_objects(closed, max_size=max(0, math.ceil(piece) - 1))
    filled: Mask = remove_small_holes(kept, max_size=max(0, math.ceil(hole) - 1))
    return filled


def _he(image: Pixels, drop_pen: bool) -> Mask:
    saturation, value = (rgb2hsv(image)[..., channel] for channel in (1, 2))
    grey = np.round(saturation * 255).astype(np.uint8)
    smooth = rank.median(grey, np.ones((SMOOTH_PX, SMOOTH_PX), np.uint8))
    # Strong eosin or no glass at all would raise Otsu's threshold above pale tissue.
    limit = min(max(_otsu(smooth), 15), 30)
    mask: Mask = (smooth > limit) & (value > 0.1) & (value < 0.97)
    return mask & ~_pen_on_he(image) if drop_pen else mask


def _pen_on_he(image: Pixels) -> Mask:
    """Green and blue hues that neither haematoxylin nor eosin has, and the pure red and near-black of a marker."""
    smooth = gaussian(image, 1, channel_axis=-1)
    hue, saturation, value = np.moveaxis(rgb2hsv(smooth), -1, 0)
    green_blue = (hue > 0.19) & (hue < 0.67) & (value > 0.1)
    red = (hue < 0.04) | (hue > 0.955)
    pen = apply_hysteresis_threshold(np.where(green_blue, saturation, 0), 0.08, 0.4)
    pen |= apply_hysteresis_threshold(np.where(red, saturation, 0), 0.1, 0.75)
    pen |= (value < 0.22) & (saturation < 0.5)
    grown: Mask = isotropic_dilation(pen, HALO_PX)
    return grown


def _ihc(image: Pixels, drop_pen: bool) -> Mask:
    sharp = rgb2lab(image)
    lab = gaussian(sharp, 1, channel_axis=-1)
    light, a, b = np.moveaxis(lab - _glass(lab), -1, 0)  # all relative to the glass
    chroma = np.hypot(a, b)
    # A blank slide has no second class for Otsu, and strong DAB would raise it above the counterstain: bounds bind.
    coloured = (chroma > min(max(_otsu(chroma), 2.5), 4.0)) & (light < -0.5)
    coloured &= chroma > 0.2 * -light  # dust, edges of the coverslip and black marker darken without colouring
    textured = (_roughness(sharp[..., 0]) > ROUGH) & (light < -1.0)
    # Edges of the coverslip are rough too, but thin.
    mask: Mask = coloured | isotropic_opening(coloured | textured, EDGE_PX)
    return mask & ~_pen_on_ihc(light, a, b, chroma) if drop_pen else mask


def _roughness(light: Array) -> Array:
    """Standard deviation of lightness around each pixel; glass has 0.1 to 0.4, the palest tissue 1.5."""
    mean = uniform_filter(light, SMOOTH_PX)
    rough: Array = np.sqrt(np.maximum(uniform_filter(light * light, SMOOTH_PX) - mean * mean, 0))
    return rough


def _pen_on_ihc(light: Array, a: Array, b: Array, chroma: Array) -> Mask:
    """Marker: green and cyan, red and blue of a strength that stains do not reach, and black; with its faint rim."""
    hue = np.degrees(np.arctan2(b, a))  # DAB lies at 50 to 80, haematoxylin at -110 to -50, eosin at -40 to -15
    red, reddish = (hue > -5) & (hue < 42), (hue > -25) & (hue < 42)
    blue = (hue > -120) & (hue < -45)
    pen = apply_hysteresis_threshold(-a, 4, 10)
    # The rim of red ink is as pink as eosin, so it counts only where it surrounds what is red.
    pen |= apply_hysteresis_threshold(np.where(red, chroma, np.where(reddish, np.minimum(chroma, 40), 0)), 3, 48)
    pen |= apply_hysteresis_threshold(np.where(blue, chroma, 0), 30, 48)
    pen |= _black(np.where(chroma < 0.2 * -light, -light, 0))
    grown: Mask = isotropic_dilation(pen, HALO_PX)
    return grown


def _black(dark: Array) -> Mask:
    """Black marker and its rim, by how dark what has no colour is.

    A fold is as dark but narrower than any stroke. Brown and blue together have no colour either: tissue that touches
    the marker is no rim of it.
    """
    strokes = isotropic_opening(dark > 60, STROKE_PX)
    rim = apply_hysteresis_threshold(np.where(strokes, np.inf, dark), 8, np.finfo(np.float32).max)
    black: Mask = rim & isotropic_dilation(strokes, RIM_PX)
    return black


def _glass(lab: Array) -> Array:
    """Lab colour of empty glass: the commonest of the bright, colourless pixels, or white where there are none."""
    light, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    bright = (light > max(80.0, float(np.percentile(light, 99)) - 12)) & (chroma < 8)
    if np.count_nonzero(bright) < 0.002 * light.size:
        return np.array([95.0, 0.0, 0.0])
    # The mode, not the mean: pale tissue is bright and nearly colourless too.
    counts, edges = np.histogram(light[bright], bins=np.arange(79.0, 101.5, 0.5))
    near = bright & (np.abs(light - (edges[int(counts.argmax())] + 0.25)) < 1)
    colour: Array = np.median(lab[near], axis=0)
    return colour


def _otsu(values: Array) -> float:
    return float(threshold_otsu(values)) if values.min() < values.max() else math.inf
