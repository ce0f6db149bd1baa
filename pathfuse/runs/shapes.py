"""Shapes of what a file may hold: what is wrong with a value is one sentence that names its place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

LONGEST = 100_000  # signs of a text, or entries of a list or mapping that is no table


class Shape(ABC):
    """What a value of a JSON file may be."""

    @abstractmethod
    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401 - whatever a file holds
        """What is wrong with a value, as a sentence without its end; empty where nothing is.

        Args:
            value: as it was parsed.
            place: where it stands in the file.
        """


@dataclass(frozen=True)
class Anything(Shape):
    """A value that somebody else looks at."""

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """Nothing."""
        return ""


@dataclass(frozen=True)
class Words(Shape):
    """Text of bounded length."""

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """That it is none, or too long."""
        if not isinstance(value, str):
            return f"{place} is {_short(value)} and no text"
        return f"{place} has more than {LONGEST} signs" if len(value) > LONGEST else ""


@dataclass(frozen=True)
class Figure(Shape):
    """A number.

    Attributes:
        count: whether it is a whole number from 0.
        finite: whether it has to be finite.
    """

    count: bool = False
    finite: bool = True

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """That it is none."""
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.finite and not isfinite(value)):
            return f"{place} is {_short(value)} and no number"
        return f"{place} is {_short(value)} and no count" if self.count and (value < 0 or value != int(value)) else ""


@dataclass(frozen=True)
class Maybe(Shape):
    """A value of another shape, or null."""

    of: Shape

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """What the other shape says."""
        return "" if value is None else self.of.wrong(value, place)


@dataclass(frozen=True)
class Each(Shape):
    """A list of values of one shape."""

    of: Shape

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """That it is none, is too long, or its first wrong entry."""
        if not isinstance(value, list):
            return f"{place} is {_short(value)} and no list"
        if len(value) > LONGEST:
            return f"{place} has more than {LONGEST} entries"
        return _first(self.of.wrong(one, f"{place}[{number}]") for number, one in enumerate(value))


@dataclass(frozen=True)
class Either(Shape):
    """A value of one of two shapes.

    Attributes:
        of: the usual one, of which a fault is told.
        other: the other one.
    """

    of: Shape
    other: Shape

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """What the usual shape says, where the other one does not fit either."""
        return self.of.wrong(value, place) if self.other.wrong(value, place) else ""


@dataclass(frozen=True)
class Record(Shape):
    """A mapping.

    Attributes:
        known: shapes by key; a key that is not there is no fault.
        needs: keys that have to be there.
        others: the shape of every other value.
    """

    known: Mapping[str, Shape] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    others: Shape = Anything()

    def wrong(self, value: Any, place: str) -> str:  # noqa: ANN401
        """That it is none, is too long, lacks a key, or its first wrong value."""
        if not isinstance(value, dict):
            return f"{place or 'it'} is {_short(value)} and no mapping"
        if len(value) > LONGEST:
            return f"{place or 'it'} has more than {LONGEST} entries"
        if missing := [key for key in self.needs if key not in value]:
            return f"{place + '.' if place else ''}{missing[0]} is missing"
        before = f"{place}." if place else ""
        return _first(
            self.known.get(key, self.others).wrong(one, f"{before}{_short(key, 60)}") for key, one in value.items()
        )


def named(of: Shape) -> Record:
    """A mapping from names to values of one shape."""
    return Record(others=of)


@dataclass(frozen=True)
class Columns:
    """What a table has to have.

    Attributes:
        needs: columns, in any order; there may be others.
        figures: those of them that hold numbers.
    """

    needs: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()


def _first(found: Any) -> str:  # noqa: ANN401 - an iterator of sentences
    return next((said for said in found if said), "")


def _short(value: object, most: int = 40) -> str:
    text = " ".join((value if isinstance(value, str) and most > 40 else repr(value)).split())
    return text if len(text) <= most else f"{text[: most - 4]} ..."
