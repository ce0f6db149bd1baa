"""Sortable tables of pages: the script that makes headings buttons."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def sortable_script() -> str:
    """The script for tables of class `sortable`; a number stands in a `data` element, whose value is sorted by."""
    return (files("pathfuse.charts") / "sortable.js").read_text(encoding="utf-8")
