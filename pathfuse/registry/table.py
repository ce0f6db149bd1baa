"""The plug-in tables: a component's entry-point name is its class name is its word in a recipe.

Names come from package metadata and nothing is imported until somebody asks for a class. First-party components are
registered the same way as anybody else's; there is no second list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Generic, TypeVar

from pathfuse.errors import PluginError, did_you_mean
from pathfuse.registry.api import api_versions
from pathfuse.registry.cards import card_of, read_cards
from pathfuse.registry.component import NOTEBOOK, Component
from pathfuse.registry.faults.forgotten import forgotten
from pathfuse.registry.faults.groups import misplaced
from pathfuse.registry.metadata import PREFIX, forget, stated

T = TypeVar("T")
C = TypeVar("C", bound=type)


def _letters(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


class Registry(Generic[T]):
    """A typed view of one entry-point group.

    Args:
        slot: the group without its prefix, for example `fusion`.
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.group = f"{PREFIX}{slot}"

    def names(self) -> list[str]:
        """All registered names, sorted; imports nothing."""
        return sorted(self.table())

    def table(self) -> dict[str, Component]:
        """Name to component; imports nothing."""
        local = {
            name: Component(self.group, name, f"{kind.__module__}:{kind.__qualname__}", "this session")
            for (group, name), kind in NOTEBOOK.items()
            if group == self.group
        }
        return {**_installed(self.group), **local}

    def component(self, word: str) -> Component:
        """What a word means: a registered name, or the name without case, underscores and the slot behind it.

        So `--tissue he` means `HETissue`, and `--normaliser lab_grey` a `LabGreyNormaliser`, whoever offers them.

        Raises:
            PluginError: if it means nothing, with near matches, or several things.
        """
        table = self.table()
        if word in table:
            return table[word]
        # As it is written first: of `a_b` and `ab`, each is what it says.
        found = [known for known in table if word.lower() in (known.lower(), self.short(known))] or [
            known for known in table if _letters(word) in (_letters(known), _letters(self.short(known)))
        ]
        if len(found) > 1:
            raise PluginError(f"{word!r} may be {' or '.join(sorted(found))}; write one of them.")
        if not found:
            raise PluginError(unknown(f"no {self.slot}", word, [*table, *map(self.short, table)]))
        return table[found[0]]

    def short(self, name: str) -> str:
        """A name in lower case, without the slot behind it."""
        return name.lower().removesuffix(self.slot)

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
        NOTEBOOK[self.group, name] = kind
        return kind


BACKBONES: Registry[object] = Registry("backbone")
INPUTS: Registry[object] = Registry("input")
ENCODERS: Registry[object] = Registry("encoder")
FUSIONS: Registry[object] = Registry("fusion")
HEADS: Registry[object] = Registry("head")
OBJECTIVES: Registry[object] = Registry("objective")
EXPLAINERS: Registry[object] = Registry("explainer")
DATA: Registry[object] = Registry("data")
REGISTRATIONS: Registry[Any] = Registry("registration")
METRICS: Registry[Any] = Registry("metric")
READERS: Registry[Any] = Registry("reader")
TISSUES: Registry[Any] = Registry("tissue")
NORMALISERS: Registry[Any] = Registry("normaliser")
STORES: Registry[Any] = Registry("store")

REGISTRIES = (
    BACKBONES,
    INPUTS,
    ENCODERS,
    FUSIONS,
    HEADS,
    OBJECTIVES,
    EXPLAINERS,
    DATA,
    METRICS,
    READERS,
    TISSUES,
    NORMALISERS,
    STORES,
    REGISTRATIONS,
)


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
    failed: dict[str, None] = {}
    for component in components():
        if component.name in words or component.class_path in text:
            try:
                component.load()
            except PluginError as error:
                failed[str(error)] = None
    if failed:
        raise PluginError(" ".join(failed))


def unknown(what: str, name: str, known: dict[str, Component] | list[str]) -> str:
    """One line for a name that nobody registered: why it is not built if there is a card of it, else a guess."""
    card = card_of(name)
    if card is not None and card.missing:
        return card.refusal
    if card is not None and card.name in known:
        return f"{what} is called {name!r}. Here its name is {card.name}."
    if said := misplaced(name, (registry.group for registry in REGISTRIES)) or forgotten(name):
        return said
    return f"{what} is called {name!r}.{did_you_mean(name, known)} `pathfuse plugins` lists all of them."


@cache
def _installed(group: str) -> dict[str, Component]:
    table: dict[str, Component] = {}
    for entry, distribution in stated(group):
        found = Component(group, entry.name, entry.value, distribution, api=api_versions().get(distribution, ()))
        other = table.setdefault(entry.name, found)
        if other.target != found.target:
            table[entry.name] = replace(other, rival=distribution)
    return table


def forget_installed() -> None:
    """Reads the metadata of distributions again when it is next asked for, as after an installation in a notebook."""
    forget()
    _installed.cache_clear()
    api_versions.cache_clear()
    read_cards.cache_clear()
