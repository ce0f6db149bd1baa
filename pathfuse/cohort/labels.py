"""Order of the classes, and labels that are none of them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

HER2 = ("0", "1+", "2+", "3+")
"""The HER2 immunohistochemistry scores; the position is the class index."""


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The classes behind some labels: all four HER2 scores as soon as one of 1+, 2+, 3+ occurs, else alphabetic.

    The empty label, which means unknown, is no class.
    """
    found = {label for label in labels if label}
    return HER2 if found & set(HER2[1:]) else tuple(sorted(found))


def unknown_label(label: str, classes: Iterable[str]) -> str:
    """Half a line that says what is wrong with a label, with a guess."""
    known = list(classes)
    near = get_close_matches(label, known, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]}?" if near else ""
    return (
        f"label {label!r} is none of {', '.join(known)}.{guess} Correct it, clear it where no label is "
        "known, or train with cohort.classes that name it."
    )
