"""Points with intervals: reliability, differences of runs, values of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from matplotlib.figure import Figure

from pathfuse.charts.style import (
    COLOURS,
    DASHES,
    INK,
    MARKERS,
    label,
    legend_beside,
    panel,
    square,
    styled,
    unit_square,
)


class Bin(NamedTuple):
    """A group of cases: how sure the model was on average, how often it was right, and how many they are."""

    confidence: float
    accuracy: float
    n: int


class Estimate(NamedTuple):
    """A value with its interval; NaN limits draw none."""

    name: str
    value: float
    low: float
    high: float


class Bar(NamedTuple):
    """A mean with the values it is the mean of."""

    name: str
    value: float
    points: Sequence[float] = ()


@styled()
def reliability(series: Mapping[str, Sequence[Bin]]) -> Figure:
    """What was said against what happened; on the diagonal they agree. A point is as large as its share of cases."""
    drawn, axes = square("Mean predicted probability", "Observed share", [label(name) for name in series])
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
    for number, (name, bins) in enumerate(series.items()):
        colour, total = COLOURS[number % len(COLOURS)], sum(one.n for one in bins) or 1
        x, y = [one.confidence for one in bins], [one.accuracy for one in bins]
        sizes = [8 + 120 * one.n / total for one in bins]
        axes.plot(x, y, color=colour, linestyle=DASHES[number % len(DASHES)], linewidth=1.2)
        axes.scatter(x, y, s=sizes, color=colour, marker=MARKERS[number % len(MARKERS)], alpha=0.85)
        axes.plot([], [], color=colour, linestyle=DASHES[number % len(DASHES)], marker=MARKERS[number % len(MARKERS)],
                  label=label(name))  # fmt: skip
    unit_square(axes)
    legend_beside(axes)
    return drawn


@styled()
def forest(estimates: Sequence[Estimate], *, x: str, zero: float | None = 0.0) -> Figure:
    """A row per estimate with its interval; an interval across the line at `zero` may be no difference at all."""
    drawn, axes = panel(4.6, 0.9 + 0.34 * max(len(estimates), 1), x=x, y="")
    for row, one in enumerate(estimates):
        known = not (isnan(one.low) or isnan(one.high))
        # Full where the interval keeps off the line, hollow where it crosses: a sign besides the colour.
        clear = known and zero is not None and not one.low <= zero <= one.high
        colour = COLOURS[1] if clear else COLOURS[0]
        if known:
            axes.plot([one.low, one.high], [row, row], color=colour, linewidth=1.4)
        face = colour if clear or zero is None else "none"
        axes.plot([one.value], [row], marker="D" if clear else "o", color=colour, markerfacecolor=face, markersize=6)
    if zero is not None:
        axes.axvline(zero, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(estimates)), [_long(one.name) for one in estimates])
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    return drawn


@styled()
def bars(values: Sequence[Bar], *, y: str, top: float | None = None, chance: float | None = None) -> Figure:
    """A bar per mean, with a point for every value that went into it; `chance` is a dashed line across."""
    drawn, axes = panel(max(3.0, 1.2 + 0.7 * len(values)), 3.2, x="", y=y)
    for column, bar in enumerate(values):
        axes.bar(column, bar.value, width=0.65, color=COLOURS[column % len(COLOURS)], alpha=0.45, edgecolor=INK)
        count = len(bar.points)
        spread = [column + 0.3 * ((i + 0.5) / count - 0.5) for i in range(count)]
        axes.plot(spread, bar.points, linestyle="none", marker="o", color=INK, markersize=3.5, markerfacecolor="none")
    if chance is not None:
        axes.axhline(chance, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        right = axes.get_yaxis_transform()  # x in shares of the axes, y as drawn
        axes.text(1.0, chance, " chance", va="center", fontsize=8, clip_on=False, transform=right)
    axes.set_xticks(range(len(values)), [label(bar.name) for bar in values], rotation=30, ha="right")
    below = min([0.0, *(value for bar in values for value in (bar.value, *bar.points))])
    axes.set_ylim(bottom=1.05 * below, top=top if top is not None or below == 0 else max(axes.get_ylim()[1], 0.0))
    if below < 0:
        axes.axhline(0, color=INK, linewidth=0.8)
    axes.grid(visible=False, axis="x")
    return drawn


def _long(name: str) -> str:
    """A name that may take two lines."""
    return "\n".join(label(part) for part in name.split("\n")[:2])
