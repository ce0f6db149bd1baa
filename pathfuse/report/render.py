"""A page as HTML: templates fill in, everything is escaped, and nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from pathfuse.charts.sortable import sortable_script
from pathfuse.report.page import Page, as_data, below, pointer, shown
from pathfuse.system.files import write_text

TEMPLATE = "page.html.j2"


def write_page(page: Page, path: Path) -> list[Path]:
    """Writes the page and, under the same name, its JSON; returns both paths. Equal pages give equal bytes."""
    numbers = path.with_suffix(".json")
    document = as_html(page, numbers.name)
    write_text(numbers, json.dumps(as_data(page), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(path, document)
    return [path, numbers]


def as_html(page: Page, numbers: str) -> str:
    """The page as one self-contained document.

    Args:
        page: its content.
        numbers: name of the JSON beside it, which the page mentions.
    """
    script = sortable_script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(TEMPLATE).render(
        page=page,
        numbers=numbers,
        # Both come with pathfuse; nothing that a run says gets in unescaped.
        style=Markup(_packaged("page.css")),
        script=Markup(script),
        script_hash=digest,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_packaged), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"shown": shown, "pointer": pointer, "below": below}
    environment.filters["drawing"] = Markup  # of `pathfuse.charts`, which escapes what it writes
    return environment


@cache
def _packaged(name: str) -> str:
    return (files("pathfuse.report") / "templates" / name).read_text(encoding="utf-8")
