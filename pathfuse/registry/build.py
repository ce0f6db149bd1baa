"""A component by name with the options that a user gave, and what it was made with as plain data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

from pathfuse.errors import PluginError, RecipeError, did_you_mean
from pathfuse.registry.table import Registry
from pathfuse.registry.unregistered import wrong_base
from pathfuse.registry.used import note_use

T = TypeVar("T")


def build(registry: Registry[T], word: str, options: Mapping[str, object], contract: type, key: str) -> T:
    """A component of a slot that is named by a word.

    Args:
        registry: of the slot.
        word: a registered name, or its short form.
        options: keyword arguments of its constructor.
        contract: what it has to be.
        key: what a message calls the place where it was named, for example `--tissue`.

    Raises:
        PluginError: if nobody registered the name, or the component does not import or keep its contract.
        RecipeError: if it does not take an option, or lacks one that it needs.
    """
    component = registry.component(word)
    kind = component.load()
    if wrong := wrong_base(component, kind, {registry.slot: contract}):
        raise PluginError(wrong)
    known = inspect.signature(kind).parameters
    for name in options:
        if name not in known:
            raise RecipeError(f"{key} {word} takes no option {name!r}.{did_you_mean(name, known)}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise RecipeError(f"{key} {word} needs the option {name!r}. `pathfuse plugins show {kind.__name__}`.")
    note_use(component)
    return cast(T, cast(Callable[..., object], kind)(**options))


def settings_of(component: object) -> dict[str, Any]:
    """What a component was made with: its name and its public attributes, as JSON can hold them."""
    kept = {key: _plain(value) for key, value in sorted(vars(component).items()) if not key.startswith("_")}
    return {"name": type(component).__name__, **kept}


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    # Arrays and their numbers, without importing their libraries here.
    as_list = getattr(value, "tolist", None)
    return as_list() if callable(as_list) else value
