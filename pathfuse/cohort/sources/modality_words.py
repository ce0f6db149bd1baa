"""Words for a stain: H&E has many, and they are one modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pathfuse.errors import RecipeError

_HE = {"he", "h&e", "h+e", "h.e.", "h/e", "h-e", "h and e", "hne", "hande", "hematoxylin and eosin",
       "haematoxylin and eosin", "hematoxylin eosin", "haematoxylin eosin", "hematoxylin-eosin"}  # fmt: skip


def modality_names(words: Iterable[str], wanted: Iterable[str] = ()) -> dict[str, str]:
    """The name of the modality behind each word.

    Every word for H&E is `he`. Words that differ in capitals alone are one modality: the one that is wanted, `ihc`, or
    else the first.

    Args:
        words: as they are written.
        wanted: names that somebody asks for.
    """
    known = {name.casefold(): name for name in ("he", "ihc", *wanted)}
    found: dict[str, str] = {}
    for word in words:
        key = " ".join(word.casefold().split())
        found[word] = known["he"] if key in _HE else known.setdefault(key, word)
    return found


def modality_note(names: dict[str, str]) -> list[str]:
    """A line on the words that became another; nothing if none did."""
    changed = [f"{' '.join(word.split())} is {' '.join(name.split())}" for word, name in names.items() if word != name]
    return [f"Modalities: {', '.join(changed)}."] if changed else []


def by_modality(given: Mapping[str, str], option: str) -> dict[str, str]:
    """Folders or tables by the name of their modality.

    Args:
        given: by a word for it.
        option: where they were given.

    Raises:
        RecipeError: if two words are one modality.
    """
    names = {word: "he" if name == "he" else word for word, name in modality_names(given).items()}
    if len(set(names.values())) < len(names):
        raise RecipeError(f"{option} names H&E twice ({', '.join(given)}). Keep one.")
    return {names[word]: place for word, place in given.items()}
