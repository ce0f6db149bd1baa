"""Options of components that no recipe parser reads: held against the types of their constructors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from pathfuse.registry.build import _fits


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, float),
        (True, bool),
        (None, float | None),
        ([0.1, 1], tuple[float, ...]),
        ([3, "he"], tuple[int, str]),
        (["a"], list),
        ([1, 2], Sequence[int]),
        ("mean", Literal["mean", "max"]),
        ({"he": 1}, dict[str, int]),
    ],
)
def test_a_value_of_its_type_is_taken(value: object, hint: object) -> None:
    assert _fits(value, hint)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (True, float),
        (1.5, int),
        ("1", int | None),
        ([0.1, "x"], tuple[float, ...]),
        ([3], tuple[int, str]),
        (["he", 3], tuple[int, str]),
        ("ab", Sequence[int]),
        ("men", Literal["mean", "max"]),
    ],
)
def test_another_value_is_not(value: object, hint: object) -> None:
    assert not _fits(value, hint)
