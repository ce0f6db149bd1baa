"""The look of every chart, and how a figure becomes SVG text."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the colour of the text around the chart while matplotlib draws, which has no such colour itself."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""Distinct for every kind of colour vision. Source: Okabe and Ito 2008, without their yellow, which white swallows."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (1, 3)), (0, (8, 3)))
SIDE_IN = 2.7  # of a square panel
TEXT_IN = 0.07  # a letter of a legend or tick, on average
LONGEST = 28  # characters of a label; a longer one would squeeze the chart
_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and takes the colour of the page
    "svg.hashsalt": "pathfuse",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "text.parse_math": False,  # a class may be called "$1"
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "path.simplify": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it, or in a function decorated with `@styled()`, whatever is drawn has the look."""
    with mpl.rc_context(_SETTINGS):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure that belongs to nobody's global state.

    Args:
        width: in inches; 4.5 is half a page.
        height: in inches.
    """
    with styled():
        return Figure(figsize=(width, height), layout="constrained")


def panel(width: float = 4.4, height: float = 3.3, *, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure of one pair of axes with names; call it in a `styled()` function."""
    drawn = figure(width, height)
    axes = drawn.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return drawn, axes


def square(x: str, y: str, legend: Sequence[str]) -> tuple[Figure, Axes]:
    """A square panel with room for a legend to its right; call it in a `styled()` function.

    Margins are given instead of found, which takes half as long: a run has twenty of these charts.

    Args:
        x: name of the axis.
        y: name of the other.
        legend: what will stand in it.
    """
    left, right, below, above = 0.62, 0.6 + TEXT_IN * max(map(len, legend), default=0), 0.5, 0.1
    width, height = left + SIDE_IN + right, below + SIDE_IN + above
    with styled():
        drawn = Figure(figsize=(width, height))
    axes = drawn.add_axes((left / width, below / height, SIDE_IN / width, SIDE_IN / height))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return drawn, axes


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1, with a little room for lines that run along the border."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)


def legend_beside(axes: Axes, title: str | None = None) -> None:
    """The legend to the right of the axes, where it hides nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), title=title, alignment="left", borderaxespad=0.3)


def label(text: object, longest: int = LONGEST) -> str:
    """A name as it is written in a chart: one line, printable, not longer than fits."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def svg(drawn: Figure, title: str, description: str) -> str:
    """The figure as one `<svg>` element, for a page or as a file of its own.

    Equal figures with equal titles give equal bytes; figures with different titles share no id, so that a page can
    hold them all.

    Args:
        drawn: the figure.
        title: its name, which a screen reader says.
        description: what can be seen in it, in a sentence or two.
    """
    buffer = io.StringIO()
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # The browser has its own fonts; what the measuring one lacks is no matter.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        # Not savefig, which draws everything twice to find out its size.
        canvas: Any = FigureCanvasSVG(drawn)
        canvas.print_svg(buffer, metadata={"Date": None})
    return _element(buffer.getvalue(), title, description)


def _element(document: str, title: str, description: str) -> str:
    body = document[document.index("<svg") :].rstrip()
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    # Equal bitmaps would share an id, and nothing refers to them.
    body = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", body)
    body = body.replace(INK, "currentColor")
    prefix = "c" + hashlib.sha256(f"{title}\n{description}\n{body}".encode()).hexdigest()[:8] + "-"
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = re.sub(r'xlink:href="#', f'xlink:href="#{prefix}', body)
    body = body.replace("url(#", f"url(#{prefix}")
    names = f'role="img" aria-labelledby="{prefix}title {prefix}desc"'
    head = f'<title id="{prefix}title">{escape(title)}</title><desc id="{prefix}desc">{escape(description)}</desc>'
    opening, rest = body.split(">", 1)
    return f"{opening} {names}>{head}{rest}\n"
