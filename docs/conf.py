"""Sphinx: Markdown pages, and an API page from the docstrings."""

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))

project = "pathfuse"
author = "the pathfuse authors"
version = release = installed("pathfuse")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
default_role = "code"  # docstrings quote code in single backticks
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "pathfuse"
exclude_patterns = ["_build"]


def mark_origins(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Sets `Source:` and `Departs:` off from the text; their further lines may be indented."""
    inside = False
    for number, line in enumerate(lines):
        found = re.match(r"(Source|Departs):\s+(.*)", line)
        if found:
            lines[number] = f"**{found[1]}:** {found[2]}"
        elif inside and line.strip():
            lines[number] = line.strip()
        inside = bool(found) or (inside and bool(line.strip()))
    for number in range(len(lines) - 1, 0, -1):
        if lines[number].startswith("**Departs:**") and lines[number - 1].strip():
            lines.insert(number, "")  # a paragraph of its own


def setup(app: Sphinx) -> None:
    """Runs before Napoleon, which works at the default priority."""
    app.connect("autodoc-process-docstring", mark_origins, priority=100)
