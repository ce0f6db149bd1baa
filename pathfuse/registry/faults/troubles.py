"""Everything that is wrong with the installed plug-ins, a line each; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pathfuse.registry.cards import read_cards
from pathfuse.registry.faults.broken import trouble
from pathfuse.registry.faults.groups import unread
from pathfuse.registry.metadata import damaged
from pathfuse.registry.table import REGISTRIES, components


class Trouble(NamedTuple):
    """What is wrong with a distribution.

    Attributes:
        owner: the distribution.
        said: one line with what to do.
    """

    owner: str
    said: str


def troubles() -> list[Trouble]:
    """Metadata, groups, cards and components that cannot be used."""
    return list(dict.fromkeys(_all()))


def _all() -> Iterator[Trouble]:
    yield from (Trouble(owner, line) for owner, line in damaged())
    yield from (Trouble(one.owner, line) for one, line in unread(registry.group for registry in REGISTRIES))
    yield from (Trouble("cards", line) for line in read_cards().troubles)
    for component in components():
        line = trouble(component)
        if line:
            yield Trouble(component.distribution, line)
