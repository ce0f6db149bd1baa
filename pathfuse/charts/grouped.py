"""Bars in groups, with what a paper reports as marks on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathfuse.charts.style import COLOURS, INK, TEXT_IN, label, legend_beside, styled

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")
PUBLISHED = "published"


class GroupedBar(NamedTuple):
    """A mean, the values it is the mean of, and what a paper reports in its place; None where it reports nothing."""

    value: float
    points: Sequence[float] = ()
    published: float | None = None


@styled()
def grouped_bars(groups: Mapping[str, Mapping[str, GroupedBar]], *, y: str, said: Sequence[str] = ()) -> Figure:
    """A group of bars per name, a bar per series in it; series have a colour and a hatch each.

    Args:
        groups: by name of the group, bars by name of the series. Not every group needs every series.
        y: name of the axis.
        said: lines under the chart, such as tests.
    """
    series = list(dict.fromkeys(name for own in groups.values() for name in own))
    drawn, axes = _axes(len(groups) * (len(series) + 1), max(map(len, [PUBLISHED, *series])), y, said)
    named: set[str] = set()
    for column, own in enumerate(groups.values()):
        width = 0.85 / max(len(series), 1)
        for number, name in enumerate(series):
            if name not in own:
                continue
            bar, place = own[name], column + (number + 0.5) * width - 0.425
            look: Any = {"color": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}
            said_once = None if name in named else label(name)
            axes.bar(place, bar.value, 0.92 * width, alpha=0.45, edgecolor=INK, linewidth=0.6, label=said_once, **look)
            named.add(name)
            axes.plot([place] * len(bar.points), bar.points, "o", color=INK, markersize=2.5, markerfacecolor="none")
            if bar.published is not None:
                said_once = None if PUBLISHED in named else PUBLISHED
                axes.plot([place], [bar.published], "D", color=INK, markersize=5, label=said_once)
                named.add(PUBLISHED)
    axes.set_xticks(range(len(groups)), [label(name) for name in groups])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.grid(visible=False, axis="x")
    legend_beside(axes)
    return drawn


def _axes(bars: int, longest: int, y: str, said: Sequence[str]) -> tuple[Figure, Axes]:
    """Axes with room for the legend beside them and for the lines under them."""
    plot_in, below_in = max(2.6, 0.2 * bars), 0.45 + 0.17 * len(said)
    width, height = 0.7 + plot_in + 0.7 + TEXT_IN * min(longest, 28), below_in + 2.6 + 0.15
    drawn = Figure(figsize=(width, height))
    axes = drawn.add_axes((0.65 / width, below_in / height, plot_in / width, 2.6 / height))
    axes.set_ylabel(y)
    for number, line in enumerate(said):
        drawn.text(0.02, (0.06 + 0.17 * (len(said) - 1 - number)) / height, line, fontsize=8)
    return drawn, axes
