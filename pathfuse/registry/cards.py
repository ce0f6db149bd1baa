"""Cards: what plug-ins say about published networks, read from their tables without importing them.

A distribution names packages of its own in the entry-point group `pathfuse.cards`; each keeps a file `cards.csv`, one
line per network. A network that is also a component has its name. One that is not is named all the same, with the
reason.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pathfuse.errors import PluginError
from pathfuse.registry.metadata import stated

GROUP = "pathfuse.cards"
FILE = "cards.csv"
NEEDED = ("name", "also", "kind", "licence", "commercial", "gated", "missing", "instead")
_SEPARATE = ("name", "kind", "licence", "commercial", "missing", "instead")
UNKNOWN = "not known"


@dataclass(frozen=True)
class Card:
    """One line of a table.

    Attributes:
        name: the word in a recipe.
        also: what other programs call it, separated by spaces; their stores carry these names.
        kind: for example `tile encoder`.
        distribution: who says it.
        licence: of the published weights; empty if not known.
        commercial: whether they may be used commercially: `yes`, `no`, or empty if not known.
        gated: whether the hub asks for consent first: `yes`, `no`, or empty if not known.
        missing: why nobody can build it here; empty if it is a component.
        instead: what to do then.
        facts: all columns that are filled in, in their order.
    """

    name: str
    also: str
    kind: str
    distribution: str
    licence: str
    commercial: str
    gated: str
    missing: str
    instead: str
    facts: Mapping[str, str]

    @property
    def terms(self) -> str:
        """Licence and commercial use in a few words."""
        use = {"yes": "commercial use allowed", "no": "not for commercial use"}
        if not self.licence:
            return f"licence {UNKNOWN}"
        return f"{self.licence}; {use.get(self.commercial, f'commercial use {UNKNOWN}')}"

    @property
    def note(self) -> str:
        """A few words for a list."""
        if self.missing:
            return f"not built: {self.missing}"
        return f"{self.terms}; gated" if self.gated == "yes" else self.terms

    @property
    def refusal(self) -> str:
        """One line for who asks to build what nobody can build here."""
        return f"{self.name} is not built here: {self.missing}. {self.instead}."

    def text(self) -> str:
        """The whole card, a fact a line."""
        lines = [f"{self.name}: {self.kind}, {self.terms}"]
        lines += [f"  {key.replace('_', ' ')}: {value}" for key, value in self.facts.items() if key not in _SEPARATE]
        if self.missing:
            lines.append(f"  {self.refusal}")
        return "\n".join(lines)


class Cards(NamedTuple):
    """All cards by name, and a line for every table that cannot be used."""

    known: dict[str, Card]
    troubles: tuple[str, ...]


@cache
def read_cards() -> Cards:
    """The cards of all distributions; of two that claim a name the first is kept."""
    known: dict[str, Card] = {}
    troubles: list[str] = []
    for entry, distribution in stated(GROUP):
        try:
            found = list(_of_package(entry, distribution))
        except PluginError as error:
            troubles.append(str(error))
            continue
        for card in found:
            other = known.setdefault(card.name, card)
            if other is not card:
                troubles.append(
                    f"the card {card.name} is claimed by both {other.distribution} and {distribution}. "
                    "Uninstall one of them."
                )
    return Cards(known, tuple(troubles))


def cards() -> dict[str, Card]:
    """Name to card."""
    return read_cards().known


def card_of(name: str) -> Card | None:
    """The card of a network by its name or by what others call it; dashes, underscores and case do not matter."""
    wanted = _plain(name)
    return next((card for card in cards().values() if wanted in map(_plain, (card.name, *card.also.split()))), None)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _of_package(entry: EntryPoint, distribution: str) -> Iterator[Card]:
    spec = find_spec(entry.value) if entry.value.isidentifier() else None
    if spec is None or spec.origin is None:
        raise PluginError(f"cards of {distribution}: there is no package {entry.value!r}. Repair {distribution}.")
    yield from read_table(Path(spec.origin).with_name(FILE), distribution)


def read_table(path: Path, distribution: str) -> list[Card]:
    """The cards of one table.

    Raises:
        PluginError: if it cannot be read, lacks a column, or names a card twice.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PluginError(
            f"cards of {distribution}: {path} cannot be read ({error}). Repair {distribution}."
        ) from error
    lacking = [column for column in NEEDED if column not in (reader.fieldnames or ())]
    if lacking:
        raise PluginError(f"cards of {distribution}: {path.name} lacks the column {lacking[0]}. Repair {distribution}.")
    names = [row["name"] for row in rows]
    twice = next((name for name in names if names.count(name) > 1 or not name), None)
    if twice is not None:
        raise PluginError(f"cards of {distribution}: {path.name} names {twice!r} twice or not. Repair {distribution}.")
    return [_card(row, distribution) for row in rows]


def _card(row: dict[str, str], distribution: str) -> Card:
    facts = {key: value for key, value in row.items() if value}
    return Card(distribution=distribution, facts=facts, **{key: row[key] for key in NEEDED})
