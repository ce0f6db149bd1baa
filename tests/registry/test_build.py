"""Options of components that no recipe parser reads: held against the types of their constructors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch

from pathfuse.registry.build import _fits, _hints, _number


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


def test_a_number_with_an_exponent_is_no_text() -> None:
    assert _number("1e-3") == 0.001 and _number("grey") == "grey" and _number(2) == 2


def test_types_that_cannot_be_read_are_not_held_against() -> None:
    class Odd:
        def __init__(self, *, size: torch.Foo = 1) -> None: ...  # type: ignore[name-defined]

    assert _hints(Odd) == {} and _fits("anything", None)
