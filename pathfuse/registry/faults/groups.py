"""Entry-point groups that a distribution names and nobody reads, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pathfuse.errors import did_you_mean
from pathfuse.registry import api, cards
from pathfuse.registry.metadata import Stated, every

_OTHERS = (api.GROUP, cards.GROUP, "pathfuse.recipes")


def unread(groups: Iterable[str]) -> Iterator[tuple[Stated, str]]:
    """Every entry point that stands in a group of pathfuse that is none, and a line on that group.

    Args:
        groups: of the slots.
    """
    known = (*groups, *_OTHERS)
    for one in every():
        group = one.entry.group
        if group not in known:
            guess = did_you_mean(group, known)
            said = f"{one.owner} names the entry-point group {group}, which nobody reads.{guess}"
            yield one, f"{said} Correct its pyproject.toml, and install it again."


def misplaced(name: str, groups: Iterable[str]) -> str:
    """The line on the group in which a name stands unread; empty if it stands in none."""
    return next((said for one, said in unread(groups) if one.entry.name == name), "")
