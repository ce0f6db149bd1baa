"""The plug-in tables: a component's entry-point name is its class name is its word in a recipe.

Names come from package metadata and nothing is imported until somebody asks for a class. First-party components are
registered the same way as anybody else's; there is no second list.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from pathfuse.errors import PluginError, did_you_mean

T = TypeVar("T")
C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Component:
    """One line of a table: what a distribution says it offers, not imported yet."""

    group: str
    name: str
    target: str
    distribution: str
    rival: str = ""

    @property
    def claimed_twice(self) -> str:
        """One line for a name that two distributions claim."""
        return (
            f"{self.name} is claimed in {self.group} by both {self.distribution} and {self.rival}. "
            "Uninstall one of them."
        )

    @property
    def class_path(self) -> str:
        """The dotted path of the class."""
        return self.target.replace(":", ".")

    @property
    def imported(self) -> bool:
        """Whether the module of the class is imported already."""
        return self.target.partition(":")[0] in sys.modules

    def load(self) -> type:
        """Imports the class.

        Raises:
            PluginError: if the plug-in does not import, with distribution and cause, or two claim the name.
        """
        local = _notebook.get((self.group, self.name))
        if local is not None:
            return local
        if self.rival:
            raise PluginError(self.claimed_twice)
        try:
            return cast(type, EntryPoint(self.name, self.target, self.group).load())
        except Exception as error:
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise PluginError(
                f"{self.name} of {self.distribution} cannot be imported ({cause}). "
                f"Repair or uninstall {self.distribution}."
            ) from error


_notebook: dict[tuple[str, str], type] = {}


class Registry(Generic[T]):
    """A typed view of one entry-point group.

    Args:
        slot: the group without its prefix, for example `fusion`.
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.group = f"pathfuse.{slot}"

    def names(self) -> list[str]:
        """All registered names, sorted; imports nothing."""
        return sorted(self.table())

    def table(self) -> dict[str, Component]:
        """Name to component; imports nothing."""
        local = {
            name: Component(self.group, name, f"{kind.__module__}:{kind.__qualname__}", "this session")
            for (group, name), kind in _notebook.items()
            if group == self.group
        }
        return {**_installed(self.group), **local}

    def get(self, name: str) -> type[T]:
        """The class behind a name.

        Raises:
            PluginError: if the name is unknown, with near matches, or its plug-in does not import.
        """
        table = self.table()
        if name not in table:
            raise PluginError(unknown(f"no {self.slot}", name, table))
        return table[name].load()

    def register(self, kind: C) -> C:
        """Class decorator for notebooks: makes the class known by its own name in this process.

        Raises:
            PluginError: if the name is taken; nothing is ever replaced silently.
        """
        name = kind.__name__
        known = self.table().get(name)
        # Running a notebook cell again defines the same class anew; that is not another claim.
        if known is not None and known.target != f"{kind.__module__}:{kind.__qualname__}":
            raise PluginError(
                f"{name} is already registered as {self.slot} by {known.distribution}; choose another name."
            )
        _notebook[self.group, name] = kind
        return kind


BACKBONES: Registry[object] = Registry("backbone")
INPUTS: Registry[object] = Registry("input")
ENCODERS: Registry[object] = Registry("encoder")
FUSIONS: Registry[object] = Registry("fusion")
HEADS: Registry[object] = Registry("head")
OBJECTIVES: Registry[object] = Registry("objective")
EXPLAINERS: Registry[object] = Registry("explainer")
DATA: Registry[object] = Registry("data")
STORES: Registry[object] = Registry("store")
METRICS: Registry[Any] = Registry("metric")

REGISTRIES = (BACKBONES, INPUTS, ENCODERS, FUSIONS, HEADS, OBJECTIVES, EXPLAINERS, DATA, STORES, METRICS)


def components() -> Iterator[Component]:
    """Every registered component of every slot; imports nothing."""
    for registry in REGISTRIES:
        yield from registry.table().values()


def import_named_in(text: str) -> None:
    """Imports every component that a recipe or command line names, and no other.

    Raises:
        PluginError: if one of them does not import.
    """
    words = set(re.findall(r"\w+", text))
    for component in components():
        if component.name in words or component.class_path in text:
            component.load()


def unknown(what: str, name: str, known: Iterator[str] | dict[str, Component] | list[str]) -> str:
    """One line for a name that nobody registered, with a guess."""
    return f"{what} is called {name!r}.{did_you_mean(name, known)} `pathfuse plugins` lists all of them."


@cache
def _installed(group: str) -> dict[str, Component]:
    table: dict[str, Component] = {}
    for entry in entry_points(group=group):
        distribution = entry.dist.name if entry.dist else "an unknown distribution"
        found = Component(group, entry.name, entry.value, distribution)
        other = table.setdefault(entry.name, found)
        if other.target != found.target:
            table[entry.name] = replace(other, rival=distribution)
    return table
