"""From recipe files, layers and overrides to one configuration per stage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from pathfuse.errors import RecipeError
from pathfuse.recipes.plain_yaml import Config, read_yaml
from pathfuse.recipes.usual import our_name

SHARED = ("cohort", "data", "loading", "steady", "trainer", "seed", "logger")
STAGE_KEYS = (*SHARED, "model", "optimizer", "lr_scheduler")
ONLY_STAGE = "train"
DEMO = "demo"
# Options of the cohort that say where cases are; without any, a recipe runs on the demo cohort.
SOURCES = ("cases", "stores")
COMMAND_WORDS = ("cases", "stores", "folds", "label", "recipe", "layer", "out", "resume")
"""Options of commands that stand beside the keys of a recipe, for guesses."""


@dataclass(frozen=True)
class Recipe:
    """A composed recipe.

    Attributes:
        name: of the last file that was laid on, without its suffix.
        stages: configuration of each stage, in the order of training.
        overrides: command-line words of each stage (`--key value` pairs), on top of its configuration.
        layers: the layers that were applied, in order.
        notes: lines to show before training.
    """

    name: str
    stages: dict[str, Config]
    overrides: dict[str, list[str]]
    layers: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def beneath(self, options: Iterable[tuple[str, str]]) -> Recipe:
        """The same with further command-line pairs, over which those that are there already win."""
        words = sort_overrides(options, list(self.stages))
        return replace(self, overrides={stage: [*words[stage], *own] for stage, own in self.overrides.items()})

    def text(self) -> str:
        """Everything that may name a component."""
        return yaml.safe_dump(self.stages) + " ".join(word for words in self.overrides.values() for word in words)


def compose(paths: Sequence[Path], layers: Sequence[str], options: Iterable[tuple[str, str]]) -> Recipe:
    """Lays files over each other (later wins), applies layers, and sorts overrides by stage.

    The layer `demo` is applied by itself when neither the recipe nor the options say where the cases are.

    Args:
        paths: recipe files, at least one.
        layers: names of layers to apply, in order.
        options: command-line pairs such as `("cohort.cases", "BCI")`, without leading dashes.

    Raises:
        RecipeError: for YAML that does not parse, an unknown layer, stage or key, or a stage with a reserved name.
    """
    options = list(options)
    config: Config = {}
    for path in paths:
        config = merge(config, read_yaml(path))
    available = _mapping(config.pop("layers", None), f"{paths[-1]}: layers")
    notes: list[str] = []
    applied = list(layers)
    for layer in applied:
        config = _laid(config, layer, available, paths[-1])
    # Asked only now: a layer may say where the data is.
    if DEMO in available and DEMO not in applied and not _has_source(config, options):
        config = _laid(config, DEMO, available, paths[-1])
        applied.append(DEMO)
        notes.append("no cases: using the built-in demo cohort with the recipe's demo layer (smaller sizes)")
    stages = split_stages(config, str(paths[-1]))
    overrides = sort_overrides(options, list(stages))
    for stage, words in overrides.items():
        forget_replaced(stages[stage], words)
    return Recipe(paths[-1].stem, stages, overrides, tuple(applied), notes)


def _laid(config: Config, layer: str, available: Config, path: Path) -> Config:
    """The configuration with a layer on it."""
    if layer not in available:
        raise RecipeError(_no_layer(layer, available, path))
    return merge(config, _mapping(available[layer], f"{path}: layer {layer}"))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Config:
    """`over` laid on `base`: mappings merge key by key, everything else is replaced.

    Naming another class drops the options of the class that it replaces.
    """
    result = dict(deepcopy(base))
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            other_class = "class_path" in value and value["class_path"] != old.get("class_path")
            result[key] = deepcopy(dict(value)) if other_class else merge(old, value)
        else:
            result[key] = deepcopy(value)
    return result


def split_stages(config: Config, source: str) -> dict[str, Config]:
    """One configuration per stage: what the stages share, with the stage's own keys on top."""
    config = dict(config)
    stages = config.pop("stages", None)
    if stages is None:
        stages = {ONLY_STAGE: {key: config.pop(key) for key in list(config) if key not in SHARED}}
    _refuse_keys(config, (*SHARED, "stages", "layers"), source)
    if not isinstance(stages, dict) or not stages:
        raise RecipeError(f"{source}: `stages` is a mapping from stage names to their configuration.")
    result = {}
    for name, stage in stages.items():
        # The name becomes a folder of the run and the first part of an option.
        if name in STAGE_KEYS or not (isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w-]{0,99}", name)):
            raise RecipeError(f"{source}: a stage cannot be called {name!r}; choose another name.")
        place = f"{source}, stage {name}"
        stage = _mapping(stage, place)
        _refuse_keys(stage, STAGE_KEYS, place)
        result[name] = merge(config, stage)
        for key in ("cohort", "loading", "model", "trainer"):
            # A word here would name another file, and a recipe is one file.
            _mapping(result[name].get(key), f"{place}: {key}")
    return result


def sort_overrides(options: Iterable[tuple[str, str]], stages: list[str]) -> dict[str, list[str]]:
    """Which command-line pairs belong to which stage.

    `--STAGE.key` reaches one stage; `--cohort`, `--data`, `--loading`, `--trainer` and `--seed` reach all; everything
    else reaches the only stage there is.
    """
    words: dict[str, list[str]] = {stage: [] for stage in stages}
    for key, value in options:
        first, _, rest = key.partition(".")
        if first in words and rest:
            _refuse_keys([rest.partition(".")[0]], STAGE_KEYS, f"--{key}")
            words[first] += [f"--{rest}={value}"]
        elif first in SHARED or (len(stages) == 1 and first in STAGE_KEYS):
            for stage in stages:
                words[stage] += [f"--{key}={value}"]
        elif first in STAGE_KEYS:
            choices = " or ".join(f"--{stage}.{key}" for stage in stages)
            raise RecipeError(f"--{key}: this recipe has several stages; say which one with {choices}.")
        else:
            raise RecipeError(_no_option(key, stages))
    return words


def _no_option(key: str, stages: list[str]) -> str:
    first, _, rest = key.partition(".")
    lists = "`pathfuse fit --help` lists the keys of a recipe."
    if first == "last" and rest:
        is_key = rest.partition(".")[0] in STAGE_KEYS
        own = f"--{rest}" if len(stages) == 1 else f"--{stages[-1]}.{rest}"
        here = f"Here it is {own}." if is_key else f"Stage {stages[-1]} is the last here, and has no such key. {lists}"
        return f"--{key} is no option: `last` is a word of `pathfuse study`. {here}"
    near = get_close_matches(first, [*STAGE_KEYS, *stages, *COMMAND_WORDS], n=1, cutoff=0.5)
    guess = f" Did you mean --{key.replace(first, near[0], 1)}?" if near else ""
    return f"--{key} is no option.{our_name(key, stages) or guess} {lists}"


def forget_replaced(config: Config, words: Iterable[str]) -> None:
    """Removes the options of every class that a command-line word replaces by another, as `merge` does."""
    for word in words:
        key, _, value = word.removeprefix("--").partition("=")
        *parents, last = key.removesuffix(".class_path").split(".")
        block: Any = config
        for name in parents:
            block = block.get(name) if isinstance(block, dict) else None
            if isinstance(block, dict) and "class_path" in block:
                block = block.get("init_args")
        old = block.get(last) if isinstance(block, dict) else None
        if isinstance(old, dict) and "class_path" in old and value != old["class_path"] and value.isidentifier():
            del block[last]


def without_typed(config: Config, words: Iterable[str]) -> Config:
    """What files say and no word of the command line replaces; a word with `+=` adds to a list and replaces nothing."""
    left = deepcopy(config)
    for word in words:
        *parents, last = word.removeprefix("--").partition("=")[0].split(".")
        block: Any = left
        for name in parents:
            block = block.get(name) if isinstance(block, dict) else None
        if isinstance(block, dict):
            block.pop(last, None)
    return left


def _has_source(config: Config, options: list[tuple[str, str]]) -> bool:
    """Whether the user said where the data is."""
    for key, value in options:
        parts = key.split(".")
        if "cohort" in parts and parts[-1] in SOURCES and value.lower() not in ("null", "none", "~"):
            return True
    stages = config.get("stages")  # whatever that is
    inside = list(stages.values()) if isinstance(stages, dict) else []
    blocks = [one.get("cohort") for one in (config, *inside) if isinstance(one, dict)]
    return any(block.get(source) is not None for block in blocks if isinstance(block, dict) for source in SOURCES)


def _refuse_keys(keys: Iterable[object], known: Sequence[str], place: str) -> None:
    for key in keys:
        if key not in known:
            raise RecipeError(f"{place}: {key!r} is no key of a recipe.{_near(str(key), known)}")


def _mapping(value: object, place: str) -> Config:
    if value is not None and not isinstance(value, dict):
        raise RecipeError(f"{place}: expected a mapping of keys, got {value!r}.")
    return value or {}


def _no_layer(layer: str, available: Mapping[str, Any], path: Path) -> str:
    known = ", ".join(available) or "none"
    return f"{path} has no layer {layer!r}; it has {known}."


def _near(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else f" Known: {', '.join(known)}."
