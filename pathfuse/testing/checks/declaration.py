"""Checks of a class: its name, its options and their documentation."""

from __future__ import annotations

import inspect
import re

import torch
from torch import nn

from pathfuse.core.weights import Weighted, WeightsNote
from pathfuse.registry import components
from pathfuse.testing.example import SIZES, parameters_of
from pathfuse.testing.trial import Trial


def options_are_documented(trial: Trial) -> None:
    """The class docstring describes every option under `Args:`; the command line prints it."""
    component = trial.example.component
    described = _described(inspect.cleandoc(component.__dict__.get("__doc__") or ""))
    missing = [name for name in list(parameters_of(component))[SIZES[trial.slot] :] if name not in described]
    assert not missing, f"Args: in the docstring of {component.__name__} lacks {', '.join(missing)}"


def options_are_keyword_only(trial: Trial) -> None:
    """Everything after the sizes is keyword-only and listed, and no module is shared as a default."""
    component = trial.example.component
    for name, parameter in list(parameters_of(component).items())[SIZES[trial.slot] :]:
        assert parameter.kind is parameter.KEYWORD_ONLY, f"{name} has to be keyword-only: put it after a *"
        shared = isinstance(parameter.default, (nn.Module, list, dict, set))
        assert not shared, f"the default of {name} would be shared by all instances; take None or a class instead"


def the_name_is_the_class_name(trial: Trial) -> None:
    """If the class is registered, then under its own name: that is the word in a recipe."""
    component = trial.example.component
    path = f"{component.__module__}:{component.__qualname__}"
    names = {entry.name for entry in components() if entry.target == path}
    assert names <= {component.__name__}, f"{component.__name__} is registered as {', '.join(sorted(names))}"


def weights_are_named(trial: Trial) -> None:
    """`weights_note` says of which network, from where and on what terms the weights are, or None; it draws none."""
    component = trial.example.component
    if not issubclass(component, Weighted):
        return
    before = torch.get_rng_state()
    note = component.weights_note(dict(trial.example.options))
    assert torch.equal(before, torch.get_rng_state()), "weights_note draws random numbers: it builds what it describes"
    if note is not None:
        assert isinstance(note, WeightsNote), f"weights_note returns a {type(note).__name__}, not a WeightsNote"
        said = (note.network, note.weights, note.licence)
        assert all(isinstance(part, str) and part for part in said), f"a part of {note} is empty or no text"


def _described(docstring: str) -> set[str]:
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    return set(re.findall(r"^ {4}(\w+)(?: \(.*?\))?:", section.group(1), re.MULTILINE)) if section else set()
