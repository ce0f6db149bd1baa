"""The variants of a study's file, one by one and as cells of its grids; and options as words of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product

from pathfuse.errors import RecipeError
from pathfuse.recipes.plain_yaml import Config
from pathfuse.study.definition.strict import file_name, mapping, refuse_unknown, words
from pathfuse.study.definition.study import Options, Variant

VARIANT_KEYS = ("recipe", "layers", "overrides", "subset")
RESERVED = ("tables", "figures")


def read_variants(config: Config, place: str) -> tuple[Variant, ...]:
    """The variants under `variants`, `grid` and `grids`, with the options that all share.

    Raises:
        RecipeError: if there is none, two have one name, or one cannot be read.
    """
    shared = read_options(config.get("overrides"), f"{place}: overrides")
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
        options += read_options(own.get("overrides"), f"{place}.overrides")
        subset = str(own.get("subset") or subset)
    if not recipes:
        raise RecipeError(f"{parts[0][0]}: no recipe is named for {name}. Give it one with `recipe: NAME`.")
    return Variant(name, recipes, layers, options, subset, axes)


def read_options(value: object, place: str) -> Options:
    """Dotted keys and their values, as pairs of the command line.

    Raises:
        RecipeError: for nested keys.
    """
    found = mapping(value, place)
    for key, own in found.items():
        if isinstance(own, dict) and "." not in str(key):
            raise RecipeError(
                f"{place}.{key}: an override has a dotted key and a value, as on the command line; write for example "
                f"{key}.{next(iter(own), 'key')}: value."
            )
    return tuple((str(key), option_word(own)) for key, own in found.items())


def option_word(value: object) -> str:
    """A value of YAML as a word of the command line."""
    if isinstance(value, str):
        return value
    return json.dumps(value)
