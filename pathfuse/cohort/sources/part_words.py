"""Words for a part: training, development, hold-out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

_WORDS = {
    "train": ("train", "training", "tr", "trainset", "trainingset"),
    "val": ("val", "valid", "validation", "dev", "development", "tune", "tuning", "validationset", "valset"),
    "test": ("test", "testing", "holdout", "te", "testset", "heldout"),
}
_PART = {word: part for part, words in _WORDS.items() for word in words}
NAMES = frozenset({"set", "subset", "partition", "dataset", "part", "phase", "usage", "splitset", "trainvaltest"})
"""What a column of parts may be called besides `split`, if its cells are parts."""


@lru_cache(maxsize=1024)
def part_of(cell: str) -> str:
    """The part behind a word: train, val or test; empty if it is none."""
    return _PART.get("".join(sign for sign in cell.casefold() if sign.isalnum()), "")


def part_columns(names: Iterable[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns whose cells are all parts or empty, training among them."""
    return [
        name
        for name in names
        if all(part_of(cell) or not cell for cell in cells[name]) and "train" in map(part_of, cells[name])
    ]


def part_note(cells: Sequence[str]) -> list[str]:
    """A line on the words that became another; nothing if none did."""
    changed = [f"{cell} is {part_of(cell)}" for cell in dict.fromkeys(cells) if part_of(cell) not in ("", cell)]
    return [f"Parts: {', '.join(changed)}."] if changed else []
