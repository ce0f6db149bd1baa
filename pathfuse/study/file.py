"""A study: variants of recipes, folds, seeds, and what is reported. Read from a YAML file, strictly."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from pathfuse.errors import RecipeError
from pathfuse.recipes.compose import DEMO, merge
from pathfuse.recipes.find import RecipeFile, find_named, shipped_files
from pathfuse.recipes.plain_yaml import Config, read_yaml
from pathfuse.study.explaining import ExplainStep, read_explain, refuse_unexplained
from pathfuse.study.reading import file_name, mapping, refuse_unknown, words
from pathfuse.study.report_file import Report, read_report

Options = tuple[tuple[str, str], ...]

KEYS = ("variants", "grid", "grids", "cohorts", "splits", "seeds", "overrides", "explain", "report", "layers")
VARIANT_KEYS = ("recipe", "layers", "overrides", "subset")
DRAWN_KEYS = ("folds", "repeats", "seed", "val_fraction", "group", "site", "stratify", "leave_out")
RESERVED = ("tables", "figures")
DEFAULT_SEED = 7
GIVEN = "given"
"""Instead of folds: the parts that the source of a cohort gives, as the demo cohort does."""


@dataclass(frozen=True)
class Variant:
    """One way of training that a study compares.

    Attributes:
        name: the folder of its runs, and what tables call it.
        recipes: names or files, laid over each other.
        layers: layers of the recipe.
        options: command-line pairs, without dashes; `last.` stands for the last stage of the recipe.
        subset: the stains whose predictions stand in tables and figures; empty takes all that the models were given in
            training.
        axes: its place in the grid, by axis.
    """

    name: str
    recipes: tuple[str, ...]
    layers: tuple[str, ...] = ()
    options: Options = ()
    subset: str = ""
    axes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DrawnSplits:
    """Folds that are drawn for the cohort of the study; the attributes are those of `draw_folds`.

    Attributes:
        leave_out: a column, such as `site`, each of whose values is tested as a fold of its own; `folds`, `repeats` and
            the columns are then not asked for.
    """

    folds: int = 5
    repeats: int = 1
    seed: int = 0
    val_fraction: float = 0.2
    group: str = "patient_id"
    site: str | None = None
    stratify: str = "label"
    leave_out: str | None = None


@dataclass(frozen=True)
class Study:
    """Everything that a study does.

    Attributes:
        name: of the file.
        variants: what is compared.
        seeds: of weights, order and augmentation; every fold is trained with each.
        splits: a file of folds, how they are drawn, or None for the parts that the cohort comes with.
        explain: the runs that are explained after their test; None explains none.
        cohorts: options of every cohort, by name; every variant is trained in each. Empty is the one of the recipes.
        report: what is written at the end.
    """

    name: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    splits: Path | DrawnSplits | None = field(default_factory=DrawnSplits)
    explain: ExplainStep | None = None
    cohorts: Mapping[str, Options] = field(default_factory=dict)
    report: Report = field(default_factory=Report)


def read_study(path: Path, layers: Sequence[str] = ()) -> tuple[Study, tuple[str, ...]]:
    """Reads a study; returns it and the layers that are meant for its recipes: `demo`, and those it does not have.

    Args:
        path: the file.
        layers: layers to apply, in order; a layer of a study is a part of a study that is laid over it.

    Raises:
        RecipeError: naming the file, the place in it and the nearest known word.
    """
    config = read_yaml(path)
    refuse_unknown(config, KEYS, str(path), "key of a study")
    own = mapping(config.pop("layers", None), f"{path}: layers")
    for layer in layers:
        if layer in own:
            config = merge(config, mapping(own[layer], f"{path}: layers.{layer}"))
            refuse_unknown(config, KEYS[:-1], f"{path}: layers.{layer}", "key of a study")
    variants = _variants(config, str(path))
    study = Study(
        path.stem,
        variants,
        _seeds(config.get("seeds", [DEFAULT_SEED]), str(path)),
        _splits(config.get("splits"), path),
        read_explain(config.get("explain"), f"{path}: explain"),
        _cohorts(config, str(path)),
        read_report(
            config.get("report"),
            str(path),
            [variant.name for variant in variants],
            list(dict.fromkeys(axis for variant in variants for axis in variant.axes)),
        ),
    )
    refuse_unexplained(study.report, study.explain, str(path))
    return study, tuple(layer for layer in layers if layer == DEMO or layer not in own)


def with_options(study: Study, options: Options) -> Study:
    """The study with command-line pairs laid over its variants; they win.

    Args:
        study: the study.
        options: pairs without dashes; `VARIANT.key` reaches one variant, or several if the name has a star, and any
            other all of them.
    """
    names = [variant.name for variant in study.variants]
    added: dict[str, Options] = {name: () for name in names}
    for key, value in options:
        first, _, rest = key.partition(".")
        named = fnmatch.filter(names, first) if rest else []
        for name in named or names:
            added[name] += ((rest if named else key, value),)
    variants = tuple(replace(own, options=own.options + added[own.name]) for own in study.variants)
    return replace(study, variants=variants)


def with_only(study: Study, names: Sequence[str]) -> Study:
    """The study with some of its variants.

    Args:
        study: the study.
        names: of variants, a star for several; empty leaves all.

    Raises:
        RecipeError: if one fits none.
    """
    known = [variant.name for variant in study.variants]
    for name in names:
        if not fnmatch.filter(known, name):
            refuse_unknown([name], known, "--only", "variant of the study")
    wanted = {found for name in names for found in fnmatch.filter(known, name)}
    return replace(study, variants=tuple(own for own in study.variants if own.name in wanted)) if names else study


def has_layer(path: Path, layer: str) -> bool:
    """Whether a study has a layer of its own."""
    return layer in mapping(read_yaml(path).get("layers"), f"{path}: layers")


def option_word(value: object) -> str:
    """A value of YAML as a word of the command line."""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def _variants(config: Config, place: str) -> tuple[Variant, ...]:
    shared = _options(config.get("overrides"), f"{place}: overrides")
    found = [
        _variant(name, {}, [(f"{place}: variants.{name}", value)], shared)
        for name, value in mapping(config.get("variants"), f"{place}: variants").items()
    ]
    grids = {f"{place}: grid": config.get("grid")}
    grids |= {f"{place}: grids.{name}": grid for name, grid in mapping(config.get("grids"), f"{place}: grids").items()}
    for where, grid in grids.items():
        found += _cells(mapping(grid, where), where, shared)
    if not found:
        raise RecipeError(f"{place}: there is nothing to train. Name recipes under `variants`, or under `grid`.")
    names = [variant.name for variant in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise RecipeError(f"{place}: two variants are called {twice}. Rename one of them.")
    return tuple(found)


def _cells(axes: Config, place: str, shared: Options) -> list[Variant]:
    """A variant per cell of a grid, called after its values."""
    values = [list(mapping(own, f"{place}.{axis}").items()) for axis, own in axes.items()]
    found = []
    for cell in product(*values) if axes else ():
        at = {axis: str(name) for axis, (name, _) in zip(axes, cell, strict=True)}
        parts = [(f"{place}.{axis}.{name}", own) for axis, (name, own) in zip(axes, cell, strict=True)]
        found.append(_variant("_".join(at.values()), at, parts, shared))
    return found


def _variant(name: object, axes: Mapping[str, str], parts: Sequence[tuple[str, object]], shared: Options) -> Variant:
    name = file_name(name, parts[0][0])
    if name in RESERVED:
        raise RecipeError(f"{parts[0][0]}: the folder {name} of a study has another use. Rename the variant.")
    recipes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    options, subset = shared, ""
    for place, value in parts:
        if isinstance(value, str | list):
            value = {"recipe": value}
        own = mapping(value, place)
        refuse_unknown(own, VARIANT_KEYS, place, "key of a variant")
        recipes += words(own.get("recipe"), f"{place}.recipe")
        layers += words(own.get("layers"), f"{place}.layers")
        options += _options(own.get("overrides"), f"{place}.overrides")
        subset = str(own.get("subset") or subset)
    if not recipes:
        raise RecipeError(f"{parts[0][0]}: no recipe is named for {name}. Give it one with `recipe: NAME`.")
    return Variant(name, recipes, layers, options, subset, axes)


def _options(value: object, place: str) -> Options:
    found = mapping(value, place)
    for key, own in found.items():
        if isinstance(own, dict) and "." not in str(key):
            raise RecipeError(
                f"{place}.{key}: an override has a dotted key and a value, as on the command line; write for example "
                f"{key}.{next(iter(own), 'key')}: value."
            )
    return tuple((str(key), option_word(own)) for key, own in found.items())


def _seeds(value: object, place: str) -> tuple[int, ...]:
    seeds = value if isinstance(value, list) else [value]
    wrong = [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0]
    if wrong or not seeds or len(set(seeds)) < len(seeds):
        raise RecipeError(f"{place}: seeds: expected different whole numbers, got {value!r}. Write seeds: [1, 2].")
    return tuple(seeds)


def _cohorts(config: Config, place: str) -> dict[str, Options]:
    """The cohorts of a study; each brings its own parts, because folds are of the cases of one."""
    found = {
        file_name(name, f"{place}: cohorts"): _options(own, f"{place}: cohorts.{name}")
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


def _splits(value: object, path: Path) -> Path | DrawnSplits | None:
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


def study_files() -> list[RecipeFile]:
    """Every study that can be named; imports nothing."""
    return shipped_files("studies")


def find_study(name: str) -> Path:
    """The file behind a name, `origin:name`, or path.

    Raises:
        RecipeError: if there is none, with the nearest names.
    """
    return find_named(name, study_files(), "study", "`pathfuse study list` lists them.")
