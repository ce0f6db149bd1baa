"""A heat map of a slide: its patches at their places, coloured by the percentile of their score."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pathfuse.charts.style import figure, label, styled
from pathfuse.evaluate.names import stain_name
from pathfuse.explain.places import SlideScores
from pathfuse.system.files import replacing

LONGEST_PX = 1200
"""Longer edge of the raster that patches are painted on; one of a million patches still has a pixel each."""
LONGEST_IN, SHORTEST_IN, DPI = 6.0, 1.5, 150
GLASS = "#e8e8e8"
LONGEST_NAME = 60  # characters of a slide's name over a map of usual width
OVER_TISSUE = 0.55  # opacity of the map where tissue is below it
BAR_MM = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)

Raster = NDArray[np.float32]
Tissue = Callable[[str, str, tuple[float, float, float, float], int], NDArray[np.uint8] | None]
"""Stain, slide, region (left, top, width, height in level-0 pixels) and longer edge in pixels to its picture."""


@styled()
def write_heat_map(
    path: Path, one: SlideScores, caption: str, tissue: Tissue | None = None, *, what: str = "attention"
) -> None:
    """Draws a slide whose places are known.

    Viridis is perceptually uniform and reads with any colour vision. Where there is no patch it stays grey, or the
    tissue shows.

    Args:
        path: a PNG.
        one: the slide.
        caption: second line of the title.
        tissue: gives the picture of a region of a slide, over which the map is laid; None where no slide is at hand.
        what: the colours are of, beside the colour bar.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    values, (left, top, right, below) = raster(one)
    tall, wide = below - top, right - left
    inches = LONGEST_IN / max(tall, wide)
    drawn = figure(max(SHORTEST_IN, wide * inches) + 1.4, max(SHORTEST_IN, tall * inches) + 0.6)
    drawn.set_facecolor("white")
    axes = drawn.add_subplot()
    axes.set_facecolor(GLASS)
    axes.set_xticks([])
    axes.set_yticks([])
    under = None if tissue is None else tissue(one.stain, one.slide.slide_id, (left, top, wide, tall), LONGEST_PX)
    if under is not None:
        grey = under.mean(2, keepdims=True).repeat(3, axis=2).astype(np.uint8)  # colours of a stain would mix with ours
        axes.imshow(grey, extent=(left, right, below, top), interpolation="bilinear")
    shown = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="viridis",
        vmin=0,
        vmax=100,
        extent=(left, right, below, top),
        interpolation="nearest",
        alpha=None if under is None else OVER_TISSUE,
    )
    bar = drawn.colorbar(shown, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(f"percentile of {what} within the case")
    bar.ax.grid(False)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    slide = "" if one.slide.slide_id == one.case_id else f", slide {label(one.slide.slide_id, LONGEST_NAME)}"
    said = f"case {label(one.case_id, LONGEST_NAME)}{slide}, {label(stain_name(one.stain))}"
    axes.set_title(f"{said}\n{label(caption, 80)}", loc="left")
    if one.slide.mpp:
        _scale_bar(axes, wide * one.slide.mpp / 1000)
    with warnings.catch_warnings(), replacing(path) as temporary:
        # What the font lacks is drawn as a box, and the file name has it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        drawn.savefig(temporary, format="png", dpi=DPI)


def raster(one: SlideScores) -> tuple[Raster, tuple[float, float, float, float]]:
    """The percentiles painted on a grid (H, W), NaN without a patch, and (left, top, right, bottom) in level-0 pixels.

    Where patches overlap, the one with the higher score is on top.
    """
    places, edge = one.places, one.edge
    assert places is not None
    left, top = (float(value) for value in places.min(0))
    right, below = (float(value) + edge for value in places.max(0))
    scale = LONGEST_PX / max(right - left, below - top)
    size = tuple(max(1, math.ceil(length * scale)) for length in (below - top, right - left))
    begin = np.floor((places - (left, top)) * scale + 1e-6).astype(int)  # (N, 2)
    end = np.maximum(np.floor((places + edge - (left, top)) * scale + 1e-6).astype(int), begin + 1)
    painted = np.full(size, np.nan, dtype=np.float32)
    for index in np.argsort(one.percentile, kind="stable"):
        (x, y), (x_end, y_end) = begin[index], end[index]
        painted[y:y_end, x:x_end] = one.percentile[index]
    return painted, (left, top, right, below)


def _scale_bar(axes: Axes, wide_mm: float) -> None:
    """A bar of about a fifth of the width, below the map."""
    length = max((mm for mm in BAR_MM if mm <= wide_mm / 4), default=BAR_MM[0])
    share = length / wide_mm
    axes.plot([0, share], [-0.02, -0.02], transform=axes.transAxes, color="black", linewidth=3, clip_on=False)
    text = f"{length:g} mm" if length >= 1 else f"{length * 1000:g} µm"
    axes.text(share + 0.02, -0.02, text, transform=axes.transAxes, va="center", fontsize=8)
