"""The registered component that takes a file: each says how sure it is, and the surest is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import TypeVar, cast

from pathfuse.errors import PluginError
from pathfuse.registry.faults.unregistered import wrong_base
from pathfuse.registry.table import Registry

T = TypeVar("T")


class Match(IntEnum):
    """How sure a reader is that a file is its own."""

    NO = 0
    FALLBACK = 1
    POSSIBLE = 2
    LIKELY = 3
    CERTAIN = 4


def working(registry: Registry[T], contract: type) -> tuple[dict[str, T], list[str]]:
    """One instance of every component of a slot by name, and a line for each that cannot be used.

    Args:
        registry: of components whose constructors need no argument.
        contract: what they have to be.
    """
    found: dict[str, T] = {}
    failed: list[str] = []
    for name, component in registry.table().items():
        try:
            kind = component.load()
            if wrong := wrong_base(component, kind, {registry.slot: contract}):
                raise PluginError(wrong)
            found[name] = cast(T, _made(kind, contract))
        except PluginError as error:
            failed.append(str(error))
    return found, failed


def not_working(registry: Registry[T], contract: type) -> str:
    """A sentence on the components of a slot that cannot be used; empty if all can. Arguments as in `working`."""
    _, failed = working(registry, contract)
    return f" These {registry.slot}s do not work: {' '.join(failed)}" if failed else ""


def surest(candidates: Mapping[str, T], sure: Callable[[T], Match]) -> list[str]:
    """The names of those that are surest; several if they are equally sure, none if nobody wants it."""
    asked = {name: sure(candidate) for name, candidate in candidates.items()}
    best = max(asked.values(), default=Match.NO)
    return [name for name, match in asked.items() if match == best != Match.NO]


@cache
def _made(kind: type, contract: type) -> object:
    try:
        made: object = kind()
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PluginError(f"{kind.__name__} cannot be made ({cause}). Its constructor gets no argument.") from error
    if unset := sorted(name for name in vars(contract).get("__annotations__", {}) if not hasattr(made, name)):
        raise PluginError(f"{kind.__name__} does not set {', '.join(unset)}, which every {contract.__name__} has to.")
    suffixes = getattr(made, "suffixes", ())
    if isinstance(suffixes, str):  # every letter of it would be taken for a suffix
        raise PluginError(f"suffixes of {kind.__name__} is one text. Put {suffixes!r} into a tuple or frozenset.")
    return made
