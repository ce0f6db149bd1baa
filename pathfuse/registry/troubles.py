"""Everything that is wrong with the installed plug-ins, a line each; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pathfuse.errors import did_you_mean
from pathfuse.registry import api
from pathfuse.registry.broken import trouble
from pathfuse.registry.cards import GROUP as CARDS
from pathfuse.registry.cards import read_cards
from pathfuse.registry.metadata import damaged, unread
from pathfuse.registry.table import REGISTRIES, components

_OTHERS = (api.GROUP, CARDS, "pathfuse.recipes")


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
    known = [*(registry.group for registry in REGISTRIES), *_OTHERS]
    for group, owner in unread(frozenset(known)):
        guess = did_you_mean(group, known)
        said = f"{owner} names the entry-point group {group}, which nobody reads.{guess} Correct its pyproject.toml."
        yield Trouble(owner, said)
    yield from (Trouble("cards", line) for line in read_cards().troubles)
    for component in components():
        line = trouble(component)
        if line:
            yield Trouble(component.distribution, line)
