"""Entry points as installed distributions state them; one that is damaged costs no other its place."""

from __future__ import annotations

from functools import cache
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distributions
from importlib.metadata import distribution as find_distribution
from pathlib import Path
from typing import NamedTuple

PREFIX = "pathfuse."
OWN = "pathfuse"
"""The distribution of the components that come with it."""
_OURS = "pathfuse"  # also of who wrote another separator behind it
UNKNOWN = "not known"


class Stated(NamedTuple):
    """One line of a distribution's entry points.

    Attributes:
        entry: group, name and target.
        owner: name of the distribution, or where its nameless metadata lies.
    """

    entry: EntryPoint
    owner: str


class Facts(NamedTuple):
    """What a distribution says of itself; `not known` where it does not.

    Attributes:
        version: of the distribution.
        licence: of its code.
    """

    version: str
    licence: str


def stated(group: str) -> list[Stated]:
    """The entry points of one group, in the order of the path."""
    return [one for one in _read()[0] if one.entry.group == group]


def every() -> tuple[Stated, ...]:
    """The entry points of all groups of pathfuse, in the order of the path; also of groups that there are not."""
    return _read()[0]


def damaged() -> tuple[tuple[str, str], ...]:
    """Every distribution, and a line on it, whose entry points cannot be read or that has no name."""
    return _read()[1]


def facts_of(owner: str) -> Facts:
    """Version and licence of a distribution."""
    try:
        metadata = find_distribution(owner).metadata
    except (PackageNotFoundError, ValueError, OSError):
        return Facts(UNKNOWN, UNKNOWN)

    def said(key: str) -> list[str]:
        return [line.strip() for line in metadata.get_all(key) or () if line.strip()]

    # Some put the whole text of a licence into the older field.
    licences = [line.splitlines()[0] for key in ("License-Expression", "License") for line in said(key)]
    licences += [line.rpartition("::")[2].strip() for line in said("Classifier") if line.startswith("License ::")]
    return Facts(*(found[0] if found else UNKNOWN for found in (said("Version"), licences)))


def forget() -> None:
    """Reads everything again when it is next asked for."""
    _read.cache_clear()


@cache
def _read() -> tuple[tuple[Stated, ...], tuple[tuple[str, str], ...]]:
    found: list[Stated] = []
    troubles: list[tuple[str, str]] = []
    seen: set[str] = set()
    for one in distributions():
        text = _text(one)
        if f"[{_OURS}" not in text:  # most have nothing for us, and their metadata need not be read
            continue
        owner = _owner(one)
        if owner in seen:  # further back on the path, and hidden by the first
            continue
        seen.add(owner)
        try:
            found += [Stated(entry, owner) for entry in one.entry_points if entry.group.startswith(_OURS)]
        except Exception as error:  # noqa: BLE001 - whatever a parser raises over a damaged file
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            troubles.append((owner, f"the entry points of {owner} cannot be read ({why}). Repair or uninstall it."))
        if not _name(one):
            troubles.append((owner, f"{owner} states components and no name or version. Install it again with pip."))
    return tuple(found), tuple(troubles)


def _text(one: Distribution) -> str:
    try:
        return one.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _name(one: Distribution) -> str:
    try:
        return one.metadata["Name"] or ""
    except Exception:  # noqa: BLE001 - newer Pythons raise where the file is not there, older ones give None
        return ""


def _owner(one: Distribution) -> str:
    folder = getattr(one, "_path", None)  # what is installed in folders, which is all that pip makes
    return _name(one) or (Path(str(folder)).name if folder is not None else "an unknown distribution")
