"""Files and names that stand for two cases: refused where two parts or two labels meet, else said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pathfuse.cohort.copies import copies
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError

TABLES = ("case table", "label table")
"""Kinds of source whose ids people write; those of folders are names of files."""
_SIGN = re.compile(r"\d+|[^\W\d_]+")


class Pair(NamedTuple):
    """Two cases that may be one; `one_label` is false for cases of a patient, which may have a label each."""

    first: Case
    second: Case
    what: str
    advice: str
    one_label: bool = True


def check_same(cases: Sequence[Case], origin: Path, *, ids: bool = True) -> list[str]:
    """Lines on files and ids that two cases share; an empty list where there are none.

    Args:
        cases: with their parts.
        origin: the file or folder that they come from.
        ids: whether ids that differ in capitals, zeros in front, blanks or hyphens alone are looked for.

    Raises:
        CaseTableError: if such a pair lies in two parts or has two labels.
    """
    notes = []
    for first, second, what, advice, one_label in (*_files(cases), *(_ids(cases) if ids else ())):
        if first.split and second.split and first.split != second.split:
            raise CaseTableError(
                f"{origin.name}: {what}; one is in {first.split}, the other in {second.split}. {advice}"
            )
        labels = sorted({first.label, second.label} - {""})
        if one_label and len(labels) > 1:
            raise CaseTableError(f"{origin.name}: {what}; one is {labels[0]}, the other {labels[1]}. {advice}")
        notes.append(f"{what}. {advice}")
    more = f" ({len(notes) - 1} more such pairs.)" if len(notes) > 1 else ""
    said = [f"WARNING: {origin.name}: {notes[0]}{more}"] if notes else []
    return [*said, *_copies(cases, origin), *(_two_labels(cases, origin) if ids else ())]


def _two_labels(cases: Sequence[Case], origin: Path) -> list[str]:
    """A line on patients whose cases have different labels; right for two lesions, wrong for two rows of one."""
    labels: dict[str, dict[str, None]] = {}
    for case in cases:
        if case.label:
            labels.setdefault(case.patient_id, {})[case.label] = None
    found = {patient: list(own) for patient, own in labels.items() if len(own) > 1}
    if not found:
        return []
    patient, own = next(iter(found.items()))
    count = "1 patient has" if len(found) == 1 else f"{len(found)} patients have"
    return [
        f"{origin.name}: {count} cases with different labels, first {patient} ({', '.join(own)}). Correct them unless "
        "they are samples of their own."
    ]


def _files(cases: Sequence[Case]) -> Iterator[Pair]:
    """A file under two cases, or under two stains of one."""
    first: dict[tuple[Path, int | None], tuple[Case, str]] = {}
    real: dict[Path, Path] = {}
    for case in cases:
        for modality, files in case.files.items():
            for file in files:
                # Linked folders lead to one file by two names; folders are few, so they are resolved once each.
                folder = real.setdefault(file.path.parent, file.path.parent.resolve())
                key = folder / file.path.name, case.row
                other, stain = first.setdefault(key, (case, modality))
                name = file.path.name
                if other is not case:
                    what = f"cases {other.case_id} and {case.case_id} have one file, {name}"
                    yield Pair(other, case, what, "Keep it in one of them.")
                elif stain != modality:
                    yield Pair(case, case, f"case {case.case_id} has {name} as {stain} and {modality}", "Name another.")


def _copies(cases: Sequence[Case], origin: Path) -> list[str]:
    """A line on files of two cases with equal bytes; those of two parts or labels come first."""
    owner: dict[Path, Case] = {}
    for case in cases:
        for files in case.files.values() if case.row is None else ():
            for file in files:
                owner.setdefault(file.path, case)
    pairs = [(owner[one], owner[two], one, two) for one, two in copies(owner) if owner[one] is not owner[two]]
    if not pairs:
        return []
    # Copies of two parts or two labels matter most.
    first, second, one, two = min(pairs, key=lambda own: (own[0].split, own[0].label) == (own[1].split, own[1].label))
    parts = f" ({first.split} and {second.split})" if first.split != second.split else ""
    labels = f", labelled {first.label} and {second.label}" if first.label != second.label else ""
    more = f" ({len(pairs) - 1} more such pairs.)" if len(pairs) > 1 else ""
    return [
        f"WARNING: {origin.name}: cases {first.case_id} and {second.case_id}{parts}{labels} have equal files, "
        f"{one.name} and {two.name}. Keep one of them, unless they are equal by chance.{more}"
    ]


def _ids(cases: Sequence[Case]) -> Iterator[Pair]:
    yield from _alike(cases, "case", lambda case: case.case_id)
    if any(case.case_id != case.patient_id for case in cases):
        yield from _alike(cases, "patient", lambda case: case.patient_id)


def _alike(cases: Sequence[Case], kind: str, name: Callable[[Case], str]) -> Iterator[Pair]:
    """Cases whose names are other spellings of one; all are compared with the first of a spelling."""
    first: dict[tuple[str, ...], Case] = {}
    for case in cases:
        other = first.setdefault(spelling(name(case)), case)
        if name(other) != name(case):
            what = f"{kind}s {name(other)!r} and {name(case)!r} look like one"
            yield Pair(other, case, what, f"Write the {kind} in one way, or rename one.", kind == "case")


def spelling(name: str) -> tuple[str, ...]:
    """What is left of an id without capitals, signs, and zeros before its numbers.

    Numbers stay apart where a sign was between them: 1-12 is not 11-2.
    """
    words = _SIGN.findall(unicodedata.normalize("NFKC", name).casefold())
    return tuple(word.lstrip("0") or "0" if word.isdecimal() else word for word in words) or (name,)
