"""A component by name with the options that a user gave, and what it was made with as plain data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pathfuse.errors import PluginError, RecipeError, did_you_mean
from pathfuse.registry.faults.unregistered import wrong_base
from pathfuse.registry.table import Registry
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
        RecipeError: if it does not take an option or its value, or lacks one that it needs.
    """
    component = registry.component(word)
    kind = component.load()
    if wrong := wrong_base(component, kind, {registry.slot: contract}):
        raise PluginError(wrong)
    known = inspect.signature(kind).parameters
    for name in options:
        if name not in known:
            raise RecipeError(f"{key} {word} takes no option {name!r}.{did_you_mean(name, known)}")
    hints = _hints(kind)
    options = {name: _number(value) if hints.get(name) in _REAL else value for name, value in options.items()}
    for name, value in options.items():
        unset = value is None and known[name].default is None
        if not unset and not _fits(value, hints.get(name)):
            wanted = inspect.formatannotation(hints[name])
            raise RecipeError(f"{key} {word}: option {name} is {value!r}, and has to be {wanted}.")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise RecipeError(f"{key} {word} needs the option {name!r}. `pathfuse plugins show {kind.__name__}`.")
    note_use(component)
    return cast(T, cast(Callable[..., object], kind)(**options))


_REAL = (float, float | None)


def _number(value: object) -> object:
    """YAML takes `1e-3` for text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _hints(kind: type) -> dict[str, Any]:
    try:
        return get_type_hints(kind.__init__)  # type: ignore[misc]
    except (NameError, AttributeError, TypeError, SyntaxError):  # such as a type for type checkers alone
        return {}


def _fits(value: object, hint: object) -> bool:
    """Whether a plain value is of a plain type; anything is of a type that is not plain."""
    made, parts = get_origin(hint), get_args(hint)
    if made in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if made is Literal:
        return value in parts
    if made is tuple and parts and ... not in parts:
        own = value if isinstance(value, list | tuple) and len(value) == len(parts) else None
        return own is not None and all(map(_fits, own, parts))
    if made in (list, tuple, Sequence):
        return isinstance(value, list | tuple) and all(_fits(one, parts[0]) for one in value if parts)
    if hint in (bool, NoneType):
        return isinstance(value, cast(type, hint))
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return True


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
