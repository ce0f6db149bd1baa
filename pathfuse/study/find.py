"""Where studies are: a path, or the packages that offer recipes, in their folder `studies`."""

from __future__ import annotations

from pathlib import Path

from pathfuse.recipes.find import RecipeFile, find_named, shipped_files


def study_files() -> list[RecipeFile]:
    """Every study that can be named; imports nothing."""
    return shipped_files("studies")


def find_study(name: str) -> Path:
    """The file behind a name, `origin:name`, or path.

    Raises:
        RecipeError: if there is none, with the nearest names.
    """
    return find_named(name, study_files(), "study", "`pathfuse study list` lists them.")
