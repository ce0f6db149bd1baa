"""The value behind an option of the command line, as a number or one of several words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from pathfuse.errors import RecipeError


def whole(key: str, value: str, least: int = 0) -> int:
    """A whole number.

    Raises:
        RecipeError: if it is none, or below `least`.
    """
    if not value.strip().isdecimal() or int(value) < least:
        bound = f" from {least} on" if least else ""
        raise RecipeError(f"--{key} {value}: expected a whole number{bound}.")
    return int(value)


def number(key: str, value: str, fits: Callable[[float], bool] = math.isfinite, what: str = "a number") -> float:
    """A number.

    Args:
        key: the option.
        value: what is behind it.
        fits: whether a number will do; NaN and infinity never do.
        what: says which numbers do.

    Raises:
        RecipeError: if it is none of them.
    """
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or not fits(found):
        raise RecipeError(f"--{key} {value}: expected {what}.")
    return found


def one_of(key: str, value: str, known: Sequence[str]) -> str:
    """One of several words.

    Raises:
        RecipeError: if it is none of them; names all.
    """
    if value not in known:
        raise RecipeError(f"--{key} {value} is unknown; write {' or '.join(known)}.")
    return value


def existing(words: Sequence[str]) -> list[Path]:
    """Files and folders that are there.

    Raises:
        RecipeError: if there is none, or one does not exist.
    """
    if not words:
        raise RecipeError("Name a feature file or a folder of them.")
    for word in words:
        if not Path(word).exists():
            raise RecipeError(f"{word} does not exist.")
    return [Path(word) for word in words]


def mapping(key: str, text: str | None) -> dict[str, str | int]:
    """A mapping such as `{he: FOLDER}`; empty without one.

    Raises:
        RecipeError: if it is none.
    """
    if text is None:
        return {}
    import yaml  # only where a mapping is on the line

    from pathfuse.recipes.plain_yaml import plain_yaml

    try:
        value = plain_yaml(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(word, str | int) for word in value.values()):
        raise RecipeError(f"--{key} {text}: expected words by name, as '{{name: word, other: word}}'.")
    return {str(name): word for name, word in value.items()}
