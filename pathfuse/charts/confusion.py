"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from pathfuse.charts.style import COLOURS, INK, label, panel, styled

DARKEST = 0.6  # the number on it must stay readable on white and on black


@styled()
def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Rows are the truth, columns what was predicted; a cell is as dark as its share of the row.

    Args:
        counts: (C, C) cases.
        classes: names of the classes.
    """
    size = len(classes)
    edge = min(2.2 + 0.45 * size, 7.0)
    drawn, axes = panel(edge + 0.5, edge, x="Predicted", y="True")
    table = np.asarray(counts, dtype=np.float64)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    rgba = np.zeros((size, size, 4)) + np.array(to_rgba(COLOURS[0]))
    rgba[..., 3] = share * DARKEST
    for row in range(size):
        for column in range(size):
            # One rectangle each: a bitmap would be blurred in print.
            box = [column - 0.5, column + 0.5, column + 0.5, column - 0.5], [row - 0.5, row - 0.5, row + 0.5, row + 0.5]
            axes.fill(*box, facecolor=tuple(rgba[row, column]), edgecolor=INK, linewidth=0.4)
            weight = "bold" if row == column else "normal"
            axes.text(column, row, f"{int(table[row, column])}", ha="center", va="center", color=INK, weight=weight)
    names = [label(name) for name in classes]
    axes.set_xticks(range(size), names, rotation=45 if max(map(len, names)) > 6 else 0)
    axes.set_yticks(range(size), names)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    return drawn
