"""The seeds, cohorts and folds of a study's file."""

from __future__ import annotations

from pathlib import Path

from pathfuse.errors import RecipeError
from pathfuse.recipes.plain_yaml import Config
from pathfuse.study.definition.strict import file_name, mapping, refuse_unknown
from pathfuse.study.definition.study import DrawnSplits, Options
from pathfuse.study.definition.variants import read_options

DRAWN_KEYS = ("folds", "repeats", "seed", "val_fraction", "group", "site", "stratify", "leave_out")
GIVEN = "given"
"""Instead of folds: the parts that the source of a cohort gives, as the demo cohort does."""


def read_seeds(value: object, place: str) -> tuple[int, ...]:
    """A seed or a list of seeds.

    Raises:
        RecipeError: unless they are different whole numbers from 0 on.
    """
    seeds = value if isinstance(value, list) else [value]
    wrong = [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0]
    if wrong or not seeds or len(set(seeds)) < len(seeds):
        raise RecipeError(f"{place}: seeds: expected different whole numbers, got {value!r}. Write seeds: [1, 2].")
    return tuple(seeds)


def read_cohorts(config: Config, place: str) -> dict[str, Options]:
    """The cohorts of a study; each brings its own parts, because folds are of the cases of one.

    Raises:
        RecipeError: if folds are asked for as well, or an option is none of a cohort.
    """
    found = {
        file_name(name, f"{place}: cohorts"): read_options(own, f"{place}: cohorts.{name}")
        for name, own in mapping(config.get("cohorts"), f"{place}: cohorts").items()
    }
    if found and config.get("splits") != GIVEN:
        raise RecipeError(
            f"{place}: folds are of one cohort, and there are {len(found)}. Write splits: {GIVEN}, or drop cohorts."
        )
    for name, own in found.items():
        other = next((key for key, _ in own if not key.startswith("cohort.")), None)
        if other or not own:
            raise RecipeError(
                f"{place}: cohorts.{name}: {other or 'nothing'} is no option of a cohort. Write for example "
                "cohort.demo.seed: 1."
            )
    return found


def read_splits(value: object, path: Path) -> Path | DrawnSplits | None:
    """A file of folds, how they are drawn, or None for the parts that the cohort comes with.

    Raises:
        RecipeError: naming the key that is not one, or its value.
    """
    if value == GIVEN:
        return None
    if isinstance(value, str):
        return splits_file(value, path.parent)
    found = mapping(value, f"{path}: splits")
    refuse_unknown(found, DRAWN_KEYS, f"{path}: splits", "key of splits")
    for key, own in found.items():
        kinds = (
            (str,)
            if key in ("group", "site", "stratify", "leave_out")
            else (int, float)
            if key == "val_fraction"
            else (int,)
        )
        if isinstance(own, bool) or not isinstance(own, kinds):
            raise RecipeError(
                f"{path}: splits.{key}: {own!r} is no {'name' if str in kinds else 'number'}. Correct it."
            )
    return DrawnSplits(**found)


def splits_file(name: str, folder: Path) -> Path:
    """The file of folds behind a name: as it is, or beside the study.

    Raises:
        RecipeError: if there is none.
    """
    for path in (Path(name), folder / name):
        if path.is_file():
            return path
    raise RecipeError(f"the file of folds {name} does not exist. Make it with `pathfuse data split`.")
