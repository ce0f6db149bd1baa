"""Sphinx: Markdown pages, and an API page from the docstrings."""

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pathfuse.cli.help.examples import EXAMPLES
from pathfuse.cli.help.lines import with_examples
from pathfuse.cli.text import COMMANDS, details_of

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
sys.path.insert(0, str(Path(__file__).parent))  # gallery_hooks, which Sphinx-Gallery imports by name

project = "pathfuse"
author = "the pathfuse authors"
copyright = f"2026, {author}"
version = release = installed("pathfuse")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
myst_heading_anchors = 3
default_role = "code"  # docstrings quote code in single backticks
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "pathfuse"
html_static_path = ["static"]
html_css_files = ["pages.css"]
exclude_patterns = ["_build", "gallery"]

# Every example runs, and the build fails with one that does. Functions are named: Sphinx stores this configuration.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": "",
    "within_subsection_order": "ExampleTitleSortKey",
    "reset_modules": ("gallery_hooks.start_afresh", "matplotlib"),
    "reset_modules_order": "both",
    "image_scrapers": ("matplotlib", "gallery_hooks.show_picture"),
    "ignore_repr_types": "Path|matplotlib|int",  # a picture stands below its block; what is drawn need not be named
    "write_computation_times": False,
    "min_reported_time": 0,
    "show_signature": False,
    "download_all_examples": False,
}


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


class Commands(SphinxDirective):
    """A section for every command: what it is for, its options, and its examples, as its help prints them."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        return [self._section(name) for name in COMMANDS]

    def _section(self, name: str) -> nodes.section:
        command = COMMANDS[name]
        section = nodes.section(ids=[f"pathfuse-{name}"], names=[f"pathfuse-{name}"])
        section += nodes.title(text=name)
        section += nodes.paragraph(text=f"{command.about[0].upper()}{command.about[1:]}.")
        said = with_examples(name, f"usage: {command.usage}\n{details_of(name)}")
        block = nodes.literal_block(said, said, language="text")
        assert name in EXAMPLES, f"{name} has no example"
        section += block
        return section


def setup(app: Sphinx) -> None:
    """The directive of the commands; origins are marked before Napoleon, which works at the default priority."""
    app.add_directive("pathfuse-commands", Commands)
    app.connect("autodoc-process-docstring", mark_origins, priority=100)
