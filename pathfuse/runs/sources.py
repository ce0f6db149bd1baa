"""Sources of a run, found from another folder or after the run was moved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathfuse.errors import RunError
from pathfuse.recipes.plain_yaml import Config
from pathfuse.runs.folder import RunFolder

if TYPE_CHECKING:
    from pathfuse.core import DataSpec

KEYS = ("cases", "stores", "vectors", "groups", "folds")
"""Options of a cohort that name files or folders."""
MADE_IN = "made_in"
"""Key of `versions.json`: the folder that training was started in, relative to the run."""


class Found:
    """The relative sources of a run, as they are found from here.

    Args:
        run: the run.
        stages: its composed recipe.

    Attributes:
        options: command-line pairs for those that lie elsewhere than the recipe says.
        lost: those that are found nowhere.
    """

    def __init__(self, run: RunFolder, stages: Mapping[str, Config]) -> None:
        self.options: list[tuple[str, str]] = []
        self.lost: list[str] = []
        places = _Places(run)
        for stage, config in stages.items():
            own = config.get("cohort") or {}
            for key in KEYS:
                # Tables of the patients may lie beside the cases, which the cohort looks at itself.
                moved = _moved(own.get(key), places, [] if key == "vectors" else self.lost)
                if moved != own.get(key):
                    word = moved if isinstance(moved, str) else json.dumps(moved)
                    self.options.append((f"{stage}.cohort.{key}", word))

    def ask(self, run: RunFolder) -> None:
        """Refuses to go on where a source is not found.

        Raises:
            RunError: naming it, and how to say where it is.
        """
        if self.lost:
            raise RunError(
                f"{run.path} was trained on {self.lost[0]}, which is neither here nor beside the run. Say where the "
                "cases are with --cases PATH (and --stores), or go to the folder that it was trained in."
            )


def as_the_model_reads(stages: Mapping[str, Config], specs: Mapping[str, DataSpec]) -> list[tuple[str, str]]:
    """Options by which new cases deliver the stains of the model, where the recipe left them to the stores."""
    found = []
    for stage, config in stages.items():
        options = (config.get("data") or {}).get("init_args") or {}
        if "modalities" in options and options["modalities"] is None and stage in specs:
            names = [modality.name for modality in specs[stage].modalities if modality.kind != "vector"]
            found.append((f"{stage}.data.modalities", json.dumps(names)))
    return found


def is_source(key: str) -> bool:
    """Whether a dotted key of a resolved recipe names files or folders of the cohort."""
    parts = key.split(".")
    return "cohort" in parts and any(part in KEYS for part in parts[parts.index("cohort") :])


class _Places:
    """Folders that a relative path may be relative to, the likeliest first; nothing is read before they are needed."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def __iter__(self) -> Iterator[Path]:
        here = self.run.path.resolve()
        made_in = self.run.versions.get(MADE_IN)
        if isinstance(made_in, str):
            yield (here / made_in).resolve()
        yield from here.parents


def _moved(value: Any, places: Iterable[Path], lost: list[str]) -> Any:  # noqa: ANN401 - what a recipe says
    if isinstance(value, Mapping):
        return {name: _moved(one, places, lost) for name, one in value.items()}
    if not isinstance(value, str) or Path(value).is_absolute() or Path(value).exists():
        return value
    for place in places:
        if (place / value).exists():
            return str(place / value)
    lost.append(value)
    return value
