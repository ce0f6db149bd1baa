"""A registered component: what a distribution says it offers, imported when somebody asks for the class."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import cast

from pathfuse.errors import PluginError
from pathfuse.registry.api import misfit
from pathfuse.registry.faults.watched import watched
from pathfuse.registry.metadata import OWN, PREFIX

NOTEBOOK: dict[tuple[str, str], type] = {}
"""Classes that were registered in this process, by group and name."""

_heard: dict[str, tuple[str, ...]] = {}
"""Per module, what its import did that it should not."""


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
        local = NOTEBOOK.get((self.group, self.name))
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
