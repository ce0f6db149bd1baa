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
from importlib.metadata import EntryPoint
from typing import Any, Generic, TypeVar, cast

from pathfuse.errors import PluginError, did_you_mean
from pathfuse.registry.api import api_versions, misfit
from pathfuse.registry.cards import card_of, read_cards
from pathfuse.registry.forgotten import forgotten
from pathfuse.registry.groups import misplaced
from pathfuse.registry.metadata import OWN, PREFIX, forget, stated
from pathfuse.registry.watched import watched

T = TypeVar("T")
C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Component:
    """One line of a table: what a distribution says it offers, not imported yet.

    Attributes:
        group: of the entry point, for example `pathfuse.fusion`.
        name: the word in a recipe.
        target: `module:Class`.
        distribution: who offers it.
        rival: another distribution that claims the name; empty if there is none.
        api: versions of pathfuse's API that the distribution was made for; empty if it does not say.
    """

    group: str
    name: str
    target: str
    distribution: str
    rival: str = ""
    api: tuple[str, ...] = ()

    @property
    def slot(self) -> str:
        """What it fills, for example `fusion`."""
        return self.group.removeprefix(PREFIX)

    @property
    def refused(self) -> str:
        """One line on why it is not loaded, known without importing it; empty if nothing speaks against it."""
        if self.rival:
            return self.claimed_twice
        return self.named_otherwise or misfit(self.name, self.distribution, self.api)

    @property
    def claimed_twice(self) -> str:
        """One line for a name that two distributions claim."""
        return (
            f"{self.name} is claimed in {self.group} by both {self.distribution} and {self.rival}. "
            "Uninstall one of them, or give the class of one another name."
        )

    @property
    def named_otherwise(self) -> str:
        """One line for an entry point that is not called as its class is; empty if it is."""
        kind = self.target.rpartition(":")[2]
        if kind == self.name:
            return ""
        return (
            f"{self.name} of {self.distribution} is the class {kind}, and both have one name here. Write the entry "
            f'point as {kind} = "{self.target}", and install it again.'
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
            PluginError: if the plug-in does not import, with distribution and cause, if two claim the name, if it
                was made for another API, or if the class lacks a method that its base class demands.
        """
        kind = self._found()
        if missing := sorted(getattr(kind, "__abstractmethods__", ())):
            raise PluginError(
                f"{self.name} of {self.distribution} lacks {', '.join(missing)}, which its base class leaves to it. "
                f"Write {'it' if len(missing) == 1 else 'them'}; the base class says what it is given and returns."
            )
        return kind

    def _found(self) -> type:
        local = _notebook.get((self.group, self.name))
        if local is not None:
            return local
        if self.refused:
            raise PluginError(self.refused)
        try:
            return self._imported()
        except (Exception, SystemExit) as error:  # a package that ends the process while it is imported is broken too
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise PluginError(
                f"{self.name} of {self.distribution} cannot be imported ({cause}). "
                f"Repair or uninstall {self.distribution}."
            ) from error

    def _imported(self) -> type:
        """The class; of a foreign one, what its import should not do is a warning, and does not reach the output."""
        entry = EntryPoint(self.name, self.target, self.group)
        if self.imported or self.distribution == OWN:
            return cast(type, entry.load())
        with watched() as heard:
            kind = cast(type, entry.load())
        if heard:
            _heard[self.target.partition(":")[0]] = tuple(heard)
            print(f"warning: {self.noise}", file=sys.stderr)
        return kind

    @property
    def noise(self) -> str:
        """One line on what its import did beyond importing; empty if it kept quiet or is not imported yet."""
        heard = _heard.get(self.target.partition(":")[0], ())
        if not heard:
            return ""
        return (
            f"{self.name} of {self.distribution} {' and '.join(heard)} while it is imported. Move that into a "
            f"constructor, or ask {self.distribution} to."
        )


_notebook: dict[tuple[str, str], type] = {}
_heard: dict[str, tuple[str, ...]] = {}
"""Per module, what its import did that it should not."""


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
            for (group, name), kind in _notebook.items()
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
