"""Lines: ROC and precision-recall per class, risk against coverage, what training logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pathfuse.charts.style import COLOURS, DASHES, INK, MARKERS, label, legend_beside, square, styled, unit_square

CHOSEN = "chosen on validation"


class Line(NamedTuple):
    """The points of a line; `note` stands behind its name in the legend, for example its area."""

    x: Sequence[float]
    y: Sequence[float]
    note: str = ""


@styled()
def roc(lines: Mapping[str, Line], title: str = "Class (AUC)") -> Figure:
    """Sensitivity against 1 - specificity, a line per class, or whatever the title says; the diagonal is a coin."""
    drawn, axes = square("1 - specificity", "Sensitivity", _names(lines))
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
    _draw(axes, lines)
    unit_square(axes)
    legend_beside(axes, title)
    return drawn


@styled()
def roc_panels(panels: Mapping[str, Mapping[str, Line]]) -> Figure:
    """ROC curves side by side, a panel per name with a legend of its own under it."""
    rows = max((len(lines) for lines in panels.values()), default=1)
    below, panel_in, gap, above = 0.55 + 0.17 * (rows + 1), 2.1, 0.35, 0.3
    width, height = 0.6 + len(panels) * (panel_in + gap), below + panel_in + above
    drawn = Figure(figsize=(width, height))
    for number, (name, lines) in enumerate(panels.items()):
        left = 0.55 + number * (panel_in + gap)
        axes = drawn.add_axes((left / width, below / height, panel_in / width, panel_in / height))
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        _draw(axes, lines)
        unit_square(axes)
        axes.set_title(label(name))
        axes.set_xlabel("1 - specificity")
        if number == 0:
            axes.set_ylabel("Sensitivity")
        axes.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.22), title="(AUC)", alignment="left", borderaxespad=0)
    return drawn


@styled()
def precision_recall(lines: Mapping[str, Line]) -> Figure:
    """Precision against recall, a line per class; steps, because nothing lies between two thresholds."""
    drawn, axes = square("Recall", "Precision", _names(lines))
    _draw(axes, lines, steps="post")
    unit_square(axes)
    legend_beside(axes, "Class (area)")
    return drawn


@styled()
def risk_coverage(lines: Mapping[str, Line], chosen: tuple[float, float] | None = None) -> Figure:
    """The share of errors among the cases that are kept, a line per confidence; `chosen` marks a threshold."""
    names = [*_names(lines), *([] if chosen is None else [CHOSEN])]
    drawn, axes = square("Coverage: share of cases kept", "Risk: share of errors among them", names)
    _draw(axes, lines)
    if chosen is not None:
        axes.plot(*chosen, marker="*", markersize=12, color=INK, linestyle="none", label=CHOSEN)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(bottom=0)
    legend_beside(axes, "Confidence (AURC)")
    return drawn


@styled()
def curves(lines: Mapping[str, Line], *, y: str, selected: float | None = None) -> Figure:
    """What was logged per epoch, a line per name; `selected` marks the epoch that was taken."""
    drawn, axes = square("Epoch", y, _names(lines))
    _draw(axes, lines, marked=True)
    if selected is not None:
        axes.axvline(selected, color=INK, linewidth=0.8, alpha=0.6, label="selected")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    legend_beside(axes)
    return drawn


def _draw(axes: Axes, lines: Mapping[str, Line], *, steps: str = "default", marked: bool = False) -> None:
    for number, (name, line) in enumerate(lines.items()):
        axes.plot(
            line.x,
            line.y,
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            # A line of few points is told apart by its markers, one of many by its dashes alone.
            marker=MARKERS[number % len(MARKERS)] if marked and len(line.x) <= 30 else None,
            drawstyle="default" if steps == "default" else f"steps-{steps}",
            label=_name(name, line),
            clip_on=False,
        )


def _names(lines: Mapping[str, Line]) -> list[str]:
    return [_name(name, line) for name, line in lines.items()]


def _name(name: str, line: Line) -> str:
    return label(name) + (f" ({line.note})" if line.note else "")
