"""Lines of the charts of a run: of the subsets that are drawn, with no more points than can be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pathfuse.charts.lines import Line
from pathfuse.runs.folder import RunFolder

MOST_POINTS = 200  # of a line; more cannot be seen and make the page heavy
MOST_SUBSETS = 3  # that are drawn; the tables have all


def drawn_subsets(run: RunFolder, cases: Iterable[str]) -> list[str]:
    """The subsets that get charts: the fullest first, then those with least stains.

    Args:
        run: the run.
        cases: the subsets that are shown.
    """
    others = sorted((name for name in cases if name != run.fullest), key=lambda name: name.count("+"))
    return [run.fullest, *others][:MOST_SUBSETS]


def line(x: Sequence[float], y: Sequence[float], area: float | None) -> Line:
    """A line of not too many points, with its area for the legend."""
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int))
    note = "" if area is None else f"{area:.2f}"
    return Line([round(float(x[i]), 6) for i in keep], [round(float(y[i]), 6) for i in keep], note)


def points(lines: Mapping[str, Line]) -> dict[str, dict[str, list[float]]]:
    """The lines as they go into the JSON."""
    return {name: {"x": list(one.x), "y": list(one.y)} for name, one in lines.items()}
