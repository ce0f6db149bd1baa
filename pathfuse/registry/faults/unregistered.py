"""Classes that exist and cannot be named: of the wrong base, in no entry point, or not registered in a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from pathfuse.registry.component import Component
from pathfuse.registry.faults.forgotten import forgotten
from pathfuse.registry.faults.groups import misplaced
from pathfuse.registry.table import REGISTRIES, components

_KNOWN = {
    "torchmil": "pathfuse[torchmil]",
    "transformers": "pathfuse[transformers]",
    "openslide": "pathfuse[wsi]",
    "ray": "pathfuse[ray]",
    "openpyxl": "pathfuse[excel]",
}
"""Per package, what to install."""


def why_no_component(word: str, kinds: dict[str, type]) -> str:
    """Why a word is no component although something is called so; empty if nothing is.

    Args:
        word: a name, or the dotted path of a class.
        kinds: per slot the class that its components subclass.
    """
    name = word.rpartition(".")[2]
    # A path says which module is meant: it is refused as such, and is not looked for by its last word.
    in_session = "" if name != word else _of_session(name, kinds)
    unread = misplaced(name, (registry.group for registry in REGISTRIES))
    return _another(name, kinds) or unread or in_session or forgotten(name) or _not_installed(word)


def wrong_base(component: Component, kind: object, kinds: Mapping[str, type]) -> str:
    """One line on what an entry point names that does not fill its slot; empty if it does.

    Args:
        component: the entry point.
        kind: what it names.
        kinds: per slot the class that its components subclass.
    """
    contract = kinds[component.slot]
    start = f"{component.name} of {component.distribution} is registered as {component.slot} and is no"
    if not isinstance(kind, type):
        return f"{start} {contract.__name__}: it is no class at all. Name a class in the entry points."
    if issubclass(kind, contract):
        return ""
    fits = next((slot for slot, other in kinds.items() if issubclass(kind, other)), "")
    if fits:
        instead = f'Name it in the entry points "pathfuse.{fits}" instead.'
        return f"{start} {contract.__name__}, but a {kinds[fits].__name__}. {instead}"
    bases = ", ".join(base.__name__ for base in kind.__bases__)
    return f"{start} {contract.__name__}, but {bases}. Make it a subclass of {_public(contract)}."


def _public(contract: type) -> str:
    """The path by which a plug-in imports a contract: of the packages around it, the outermost that exports it."""
    parts = contract.__module__.split(".")
    paths = (".".join(parts[:count]) for count in range(2, len(parts) + 1))
    found = (path for path in paths if getattr(sys.modules.get(path), contract.__name__, None) is contract)
    return f"{next(found, contract.__module__)}.{contract.__name__}"


def _another(name: str, kinds: dict[str, type]) -> str:
    """A component of that name which does not fill a slot, or another one."""
    for component in components():
        if component.name == name and component.slot in kinds:
            wrong = wrong_base(component, component.load(), kinds)
            return wrong or f"{name} is a component of slot {component.slot}, and another slot is filled here."
    return ""


def _of_session(name: str, kinds: dict[str, type]) -> str:
    for slot, contract in kinds.items():
        if any(kind.__name__ == name for kind in _subclasses(contract)):
            table = next((registry.slot.upper() + "S" for registry in REGISTRIES if registry.slot == slot), "")
            return (
                f"{name} is a {contract.__name__} that is not registered. In a notebook write "
                f'@pathfuse.{table}.register above it; in a package name it in the entry points "pathfuse.{slot}".'
            )
    return ""


def _subclasses(kind: type) -> Iterator[type]:
    children: list[type] = type.__subclasses__(kind)
    for child in children:
        yield child
        yield from _subclasses(child)


def _not_installed(word: str) -> str:
    """A class of a package that we know and that is not there; of others a stranger's recipe gets no advice."""
    package = word.partition(".")[0]
    if "." in word and package in _KNOWN and find_spec(package) is None:
        return f"{word} is of the package {package}, which is not installed: pip install '{_KNOWN[package]}'."
    return ""
