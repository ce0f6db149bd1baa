"""Strict reading of YAML values: what is not expected is refused in one line that names the place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pathfuse.errors import RecipeError, did_you_mean

NAME = re.compile(r"[A-Za-z0-9][\w+-]*")  # no dot: it ends the name in --VARIANT.key


def mapping(value: object, place: str) -> dict[str, Any]:
    """The value as a mapping; nothing is an empty one.

    Raises:
        RecipeError: for anything else.
    """
    if value is not None and not isinstance(value, dict):
        raise RecipeError(f"{place}: expected a mapping of keys, got {value!r}.")
    return value or {}


def words(value: object, place: str) -> tuple[str, ...]:
    """A word or a list of words.

    Raises:
        RecipeError: for anything else.
    """
    found = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) and word for word in found):
        raise RecipeError(f"{place}: expected a name or a list of names, got {value!r}.")
    return tuple(found)


def whole(value: object, place: str) -> int:
    """A whole number from 1 on.

    Raises:
        RecipeError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RecipeError(f"{place}: {value!r} is no whole number from 1 on.")
    return value


def file_name(name: object, place: str) -> str:
    """A word that becomes the name of a file or folder, and of nothing outside the study's.

    Raises:
        RecipeError: if it is anything but letters, digits, _, + and -.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RecipeError(
            f"{place}: {name!r} becomes a file or folder, so it is made of letters, digits, _, + and -. Rename it."
        )
    return name


def refuse_unknown(found: Iterable[object], known: Iterable[str], place: str, what: str) -> None:
    """Refuses the first word that is not known.

    Raises:
        RecipeError: with the nearest one.
    """
    known = list(known)
    for key in found:
        if key not in known:
            guess = did_you_mean(str(key), known) or f" Known: {', '.join(known)}."
            raise RecipeError(f"{place}: {key!r} is no {what}.{guess}")
