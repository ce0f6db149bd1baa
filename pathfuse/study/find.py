"""Where studies are: a path, or the packages that offer recipes, in their folder `studies`."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path

from pathfuse.errors import RecipeError
from pathfuse.recipes.find import GROUP, RecipeFile, package_folder

FOLDER = "studies"


def study_files() -> list[RecipeFile]:
    """Every study that can be named; imports nothing."""
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name != "pathfuse", entry.name)):
        folder = package_folder(entry.value, FOLDER)
        if folder is not None:
            found += [RecipeFile(path.stem, entry.name, path) for path in sorted(folder.glob("*.yaml"))]
    return found


def find_study(name: str) -> Path:
    """The file behind a name, `origin:name`, or path.

    Raises:
        RecipeError: if there is none, with the nearest names.
    """
    if Path(name).is_file():
        return Path(name)
    wanted = name.removesuffix(".yaml")
    known = study_files()
    for study in known:
        if wanted in (study.name, f"{study.origin}:{study.name}"):
            return study.path
    near = get_close_matches(wanted, [study.name for study in known], n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise RecipeError(f"no study is called {name!r} and no such file exists.{guess} `pathfuse study list` lists them.")
