"""Lines over steps of an axis, every point with its interval: what more of something is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from matplotlib.figure import Figure

from pathfuse.charts.points import Estimate
from pathfuse.charts.style import COLOURS, DASHES, MARKERS, label, legend_beside, square, styled

APART = 0.05  # of a step; intervals of two lines would cover each other


@styled()
def interval_lines(lines: Mapping[str, Sequence[Estimate]], *, x: str, y: str) -> Figure:
    """A line per name over the same steps; a point with NaN limits has no interval, a NaN value no point.

    Args:
        lines: per line, an estimate at each step, called after the step; all lines have the same steps.
        x: name of the axis of the steps.
        y: name of the values.
    """
    drawn, axes = square(x, y, [label(name) for name in lines])
    steps = [one.name for one in next(iter(lines.values()), ())]
    for number, (name, points) in enumerate(lines.items()):
        colour, aside = COLOURS[number % len(COLOURS)], APART * (number - (len(lines) - 1) / 2)
        known = [(place + aside, one) for place, one in enumerate(points) if not isnan(one.value)]
        for place, one in known:
            if not (isnan(one.low) or isnan(one.high)):
                axes.plot([place, place], [one.low, one.high], color=colour, linewidth=1.0, alpha=0.7)
        axes.plot(
            [place for place, _ in known],
            [one.value for _, one in known],
            color=colour,
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)],
            label=label(name),
        )
    axes.set_xticks(range(len(steps)), [label(step) for step in steps])
    axes.set_xlim(-0.4, len(steps) - 0.6)
    axes.grid(visible=False, axis="x")
    legend_beside(axes)
    return drawn
