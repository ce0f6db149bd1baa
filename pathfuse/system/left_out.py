"""Files of a folder that are not read, by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

_KINDS = 4  # kinds in a line
_ASIDE = frozenset({".ini", ".db", ".ds_store", ".lock"})  # what file managers leave behind


def left_out(folder: Path, kept: Collection[str], files: Iterable[Path] | None = None) -> str:
    """A line on the files of a folder whose kind is not read; empty if there are none.

    Args:
        folder: the folder.
        kept: suffixes that are read, in lower case with the dot.
        files: those to look at; None takes all below the folder. Hidden ones do not count.
    """
    kinds: Counter[str] = Counter()
    for path in folder.rglob("*") if files is None else files:
        suffix = path.suffix.lower()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if suffix not in kept and suffix not in _ASIDE and not hidden and path.is_file():
            kinds[suffix or "without a suffix"] += 1
    if not kinds:
        return ""
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_KINDS))
    more = " and others" if len(kinds) > _KINDS else ""
    return f"{folder.name or folder}: files that are not read here: {said}{more}."
