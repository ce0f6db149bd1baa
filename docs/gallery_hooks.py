"""Hooks of the gallery: clean folders, commands that must succeed, and the pictures that blocks end with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

import pathfuse.cli
from pathfuse.cli import main

PICTURES = (".jpg", ".png", ".svg")


def start_afresh(gallery_conf: dict[str, Any], script: str | None) -> None:
    """Before and after an example: what was written goes, and commands print a page's width."""
    os.environ["COLUMNS"] = "100"
    pathfuse.cli.main = succeed
    for folder in (Path(gallery_conf["src_dir"]) / "gallery").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


def succeed(words: Sequence[str] | None = None) -> None:
    """Runs a command of an example; one that fails is a failure of the example."""
    if main(words):
        raise RuntimeError(f"pathfuse {' '.join(words or [])} failed; its message stands in the log above.")


def show_picture(block: object, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Where a block ends with the path of a picture, the picture stands below it."""
    value = block_vars["example_globals"].get("___")
    if not isinstance(value, Path) or value.suffix not in PICTURES or block_vars.get("shown") is value:
        return ""
    block_vars["shown"] = value  # a later block that ends with a statement leaves the value as it is
    place = Path(next(block_vars["image_path_iterator"])).with_suffix(value.suffix)
    shutil.copy(value, place)
    return figure_rst([str(place)], gallery_conf["src_dir"], value.stem.replace("_", " "))
