"""Components that a piece of work used: those that its recipe names, and those that were chosen.

A reader or store is chosen by looking at a file, so no recipe names it; whoever chooses says so with `note_use`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pathfuse.registry.component import Component
from pathfuse.registry.metadata import OWN, facts_of
from pathfuse.registry.table import components

_open: list[set[Component]] = []
AT_HOME = (OWN, "this session")
"""Where components come from that are no plug-in."""


def note_use(component: Component) -> None:
    """Says that a component does some of the work."""
    for record in _open:
        record.add(component)


@contextmanager
def recording() -> Iterator[set[Component]]:
    """Within the block, what is used is put into the set; blocks may lie within each other."""
    record: set[Component] = set()
    _open.append(record)
    try:
        yield record
    finally:
        _open[:] = [other for other in _open if other is not record]


def named_in(text: str) -> set[Component]:
    """The components whose class a resolved recipe names, or which an option names by their own name.

    Args:
        text: the recipe as YAML.
    """
    words = set(re.findall(r"^[ -]*(?:[\w.]+: |- )?'?(\w+)'?$", text, re.MULTILINE))
    return {one for one in components() if one.class_path in text or (one.slot in BY_NAME and one.name in words)}


BY_NAME = ("metric", "reader", "tissue", "normaliser", "store", "registration")
"""Slots that options name by the name alone; the others stand as `class_path`."""


def software_of(text: str = "", used: Iterable[Component] | None = None) -> dict[str, Any]:
    """What `versions.json` says about plug-ins: each distribution with its version, and the foreign components by name.

    Args:
        text: a resolved recipe.
        used: further components; None takes those of the innermost open `recording`.
    """
    noted = used if used is not None else (_open[-1] if _open else ())
    every = {one for one in (*named_in(text), *noted) if one.distribution != "this session"}
    foreign = {one for one in every if one.distribution not in AT_HOME}
    names = {owner: sorted(one.name for one in foreign if one.distribution == owner) for owner in _owners(foreign)}
    return {"plugins": {owner: facts_of(owner).version for owner in _owners(every)}, "components": names}


def _owners(found: Iterable[Component]) -> list[str]:
    return sorted({one.distribution for one in found})
