"""Explainers with the options that a command line gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import cast

from jsonargparse import ArgumentParser

from pathfuse.core import DataSpec, Explainer
from pathfuse.errors import PluginError, RecipeError, did_you_mean
from pathfuse.inference.parsing.parser import StageParser
from pathfuse.inference.parsing.trust import trusted_imports
from pathfuse.registry import EXPLAINERS
from pathfuse.registry.faults.unregistered import wrong_base


def make_explainer(name: str, options: Mapping[str, str]) -> Explainer:
    """A registered explainer with options from the command line.

    Raises:
        PluginError: if no explainer has that name, or what has it is none.
        RecipeError: if an option is unknown or has another type.
    """
    kind = EXPLAINERS.get(name)
    if wrong := wrong_base(EXPLAINERS.component(name), kind, {"explainer": Explainer}):
        raise PluginError(wrong)
    parser: ArgumentParser = StageParser(allow_abbrev=False)
    parser.add_class_arguments(kind, "explainer")
    with trusted_imports():
        config = parser.parse_args([f"--explainer.{key}={value}" for key, value in options.items()])
    made = kind(**(config.explainer or {})) if "explainer" in config else kind()
    return cast(Explainer, made)


def make_explainers(names: Sequence[str], options: Mapping[str, str]) -> dict[str, Explainer]:
    """Explainers by name. Each gets the options that it has; one that none of them has is refused.

    Args:
        names: components of slot explainer.
        options: by name.

    Raises:
        PluginError: if no explainer has one of these names.
        RecipeError: if a name is given twice, or an option is unknown or has another type.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise RecipeError(f"--explainer {twice} is given twice. Its files would overwrite each other.")
    known = {name: _options(name) for name in names}
    every = {key for keys in known.values() for key in keys}
    for key in options:
        if key not in every:
            word = "--layer" if key == "layer" else f"--explainer.{key}"
            of = f"no option of {names[0]}" if len(names) == 1 else f"an option of none of {', '.join(names)}"
            raise RecipeError(f"{word} is {of}.{did_you_mean(key, every)} {_cure(key, names[0])}")
    return {name: make_explainer(name, {k: v for k, v in options.items() if k in known[name]}) for name in names}


def _options(name: str) -> set[str]:
    return set(inspect.signature(EXPLAINERS.get(name)).parameters)


def _cure(option: str, named: str) -> str:
    """The explainers that have an option, or where those of the named one stand."""
    others = []
    for name in EXPLAINERS.names():
        with suppress(PluginError):  # one that does not work is nothing to point at
            others += [name] if option in _options(name) else []
    if others:
        return f"Name one that has it: --explainer {' or '.join(others)}."
    return f"`pathfuse plugins show {named}` lists what it has."


def default_explainer(spec: DataSpec, reads: Sequence[str]) -> str:
    """Attention for bags, Grad-CAM for images, integrated gradients where there are vectors alone."""
    kinds = {spec[name].kind for name in reads}
    if kinds & {"patches", "features"}:
        return "Attention"
    return "GradCAM" if "image" in kinds else "IntegratedGradients"
