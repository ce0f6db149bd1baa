"""Pictures side by side: a row per class, a column per kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pathfuse.charts.style import INK, label, styled

EDGE_IN = 1.15
GAP_IN = 0.06


@styled()
def picture_grid(
    rows: Sequence[str],
    columns: Sequence[str],
    pictures: Sequence[Sequence[NDArray[np.uint8] | None]],
    said: Sequence[Sequence[str]] = (),
) -> Figure:
    """A grid of pictures.

    Args:
        rows: names of the rows.
        columns: names of the columns.
        pictures: per row and column (H, W, 3); None leaves the place empty.
        said: per row and column a word in the corner of the picture; none needs none.
    """
    left, top, step = 0.55, 0.3, EDGE_IN + GAP_IN
    width, height = left + step * max(len(columns), 1), top + step * max(len(rows), 1)
    drawn = Figure(figsize=(width, height))
    for number, name in enumerate(rows):
        middle = height - top - step * number - EDGE_IN / 2
        drawn.text(0.05 / width, middle / height, label(name), va="center", fontsize=9)
    for number, name in enumerate(columns):
        x = left + step * number + EDGE_IN / 2
        drawn.text(x / width, 1 - 0.15 / height, label(name, 22), ha="center", va="center", fontsize=8)
    for row, own in enumerate(pictures):
        for column, picture in enumerate(own):
            if picture is None:
                continue
            place = (left + step * column) / width, 1 - (top + step * row + EDGE_IN) / height
            axes: Any = drawn.add_axes((*place, EDGE_IN / width, EDGE_IN / height))
            axes.imshow(picture, interpolation="none", aspect="equal")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
            if said and said[row][column]:
                corner = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
                axes.text(0.02, 0.03, label(said[row][column], 22), transform=axes.transAxes, fontsize=7, bbox=corner)
            for spine in axes.spines.values():
                spine.set_visible(True)
                spine.set_color(INK)
                spine.set_linewidth(0.4)
    return drawn
