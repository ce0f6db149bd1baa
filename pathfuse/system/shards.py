"""Shares of a list of work, for job arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pathfuse.errors import RecipeError

_T = TypeVar("_T")


def shard(work: Sequence[_T], text: str) -> list[_T]:
    """Every n-th piece of work from the i-th on, for `i/n`; together the shards are all of it, each piece once.

    Raises:
        RecipeError: if the text is not two whole numbers with 1 <= i <= n.
    """
    first, _, count = text.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise RecipeError(f"--shard {text}: write i/n, for example 1/4 to 4/4.")
    return list(work[int(first) - 1 :: int(count)])
