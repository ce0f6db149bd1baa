"""Where recipes are: a path, the folders of `$PATHFUSE_RECIPES`, then the packages of group `pathfuse.recipes`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from pathfuse.errors import RecipeError

GROUP = "pathfuse.recipes"
FOLDERS = "PATHFUSE_RECIPES"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe that can be named.

    Attributes:
        name: the file name without its suffix.
        origin: a folder of `$PATHFUSE_RECIPES`, or the entry-point name of the package; `origin:name` is exact.
        path: the file.
    """

    name: str
    origin: str
    path: Path

    @property
    def title(self) -> str:
        """The first comment line of the file."""
        for line in self.path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                return line.lstrip("# ").rstrip()
        return ""


def recipe_files() -> list[RecipeFile]:
    """Every recipe that can be named, in search order; imports nothing."""
    found = []
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        found += _in_folder(Path(folder), folder)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name != "pathfuse", entry.name)):
        shipped = package_folder(entry.value, "recipes")
        if shipped is not None:
            found += _in_folder(shipped, entry.name)
    return found


def find_recipe(name: str) -> Path:
    """The file behind a name, `origin:name`, or path.

    Raises:
        RecipeError: if there is none, with the nearest names; a URL is neither a name nor a file.
    """
    if Path(name).is_file():
        return Path(name)
    wanted = name.removesuffix(".yaml")
    known = recipe_files()
    for recipe in known:
        if wanted in (recipe.name, f"{recipe.origin}:{recipe.name}"):
            return recipe.path
    near = get_close_matches(wanted, [recipe.name for recipe in known], n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise RecipeError(
        f"no recipe is called {name!r} and no such file exists.{guess} `pathfuse recipes` lists all of them."
    )


def _in_folder(folder: Path, origin: str) -> list[RecipeFile]:
    return [RecipeFile(path.stem, origin, path) for path in sorted(folder.glob("*.yaml"))]


def package_folder(package: str, kind: str) -> Path | None:
    """The folder `recipes` or `studies` inside the package, or beside it in a source checkout."""
    spec = find_spec(package)
    for root in (spec and spec.submodule_search_locations) or []:
        for folder in (Path(root) / kind, Path(root).parent / kind):
            if any(folder.glob("*.yaml")):
                return folder
    return None
