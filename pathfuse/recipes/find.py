"""Finding recipes: a path, the folders of `$PATHFUSE_RECIPES`, then the packages of group `pathfuse.recipes`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pathfuse.errors import RecipeError, did_you_mean
from pathfuse.registry.metadata import stated
from pathfuse.system.reading import read_whole_text

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
        for line in read_whole_text(self.path).splitlines():
            if line.startswith("#"):
                return line.lstrip("# ").rstrip()
        return ""


def recipe_files() -> list[RecipeFile]:
    """Every recipe that can be named, in search order; imports nothing."""
    found: list[RecipeFile] = []
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        found += _in_folder(Path(folder), folder)
    return [*found, *shipped_files("recipes")]


def find_recipe(name: str) -> Path:
    """The file behind a name, `origin:name`, or path.

    Raises:
        RecipeError: if there is none, with the nearest names; a URL is neither a name nor a file.
    """
    return find_named(name, recipe_files(), "recipe", "`pathfuse recipes` lists all of them.")


def shipped_files(kind: str) -> list[RecipeFile]:
    """Every file that the packages which offer recipes hold in their folder `kind`; imports nothing."""
    found: list[RecipeFile] = []
    for entry, _ in sorted(stated(GROUP), key=lambda one: (one.entry.name != "pathfuse", one.entry.name)):
        folder = package_folder(entry.value, kind)
        if folder is not None:
            found += _in_folder(folder, entry.name)
    return found


def find_named(name: str, known: Sequence[RecipeFile], what: str, where: str) -> Path:
    """The file behind a path, a name or `origin:name`.

    Args:
        name: what was said.
        known: the files that can be named.
        what: they are, for the message.
        where: the sentence that says what lists them.

    Raises:
        RecipeError: if there is none, with the nearest names.
    """
    if Path(name).is_file():
        return Path(name)
    wanted = name.removesuffix(".yaml")
    for file in known:
        if wanted in (file.name, f"{file.origin}:{file.name}"):
            return file.path
    guess = did_you_mean(wanted, [file.name for file in known])
    raise RecipeError(f"no {what} is called {name!r} and no such file exists.{guess} {where}")


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
