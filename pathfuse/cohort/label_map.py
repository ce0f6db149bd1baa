"""Fewer classes from the labels of a case table, for example 0, low and high HER2 from 0, 1+, 2+ and 3+."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pathfuse.cohort.labels import unknown_label
from pathfuse.cohort.table import Case, CaseTable
from pathfuse.errors import CaseTableError, RecipeError

NamedMap = Literal["zero_low_high", "zero_low_high_ish", "positive", "positive_ish"]

MAPS: dict[str, dict[str, str]] = {
    "zero_low_high": {"0": "0", "1+": "low", "2+": "low", "3+": "high"},
    "zero_low_high_ish": {"0": "0", "1+": "low", "2+ ish-": "low", "2+ ish+": "high", "2+": "", "3+": "high"},
    "positive": {"0": "negative", "1+": "negative", "2+": "negative", "3+": "positive"},
    "positive_ish": {
        "0": "negative",
        "1+": "negative",
        "2+ ish-": "negative",
        "2+ ish+": "positive",
        "2+": "",
        "3+": "positive",
    },
}
"""What the scores become. An equivocal 2+ counts as ISH-negative, or as what ISH says and is left out without it."""

ISH = "ish"
_POSITIVE = ("positive", "pos", "+", "1", "yes", "true", "amplified")
_NEGATIVE = ("negative", "neg", "-", "0", "no", "false", "not amplified", "non-amplified")
Option = NamedMap | dict[str, str] | None


def label_map_of(option: Option, classes: Sequence[str] | None) -> dict[str, str] | None:
    """The mapping behind the option `label_map`; None without one.

    Args:
        option: a name in `MAPS`, or labels with what they become. `LABEL ish+` and `LABEL ish-` say what a label
            becomes with that result in the column `ish`; what becomes "" is left out.
        classes: the order of the merged classes, if it is said.

    Raises:
        RecipeError: if there is no such map, or `classes` names something that nothing becomes.
    """
    if option is None:
        return None
    chosen = MAPS.get(option) if isinstance(option, str) else dict(option)
    if not chosen:
        raise RecipeError(
            f"cohort.label_map is {option!r}; choose from {', '.join(MAPS)}, or say what each label becomes."
        )
    made = merged_classes(chosen)
    for name in classes or ():
        if name not in made:
            raise RecipeError(
                f"cohort.classes names {name!r}, but cohort.label_map makes {', '.join(made)}. Correct one."
            )
    return chosen


def merged_classes(mapping: Mapping[str, str]) -> tuple[str, ...]:
    """The classes that a mapping makes, in its order."""
    return tuple(dict.fromkeys(new for new in mapping.values() if new))


def merge_labels(
    table: CaseTable, mapping: Mapping[str, str] | None, classes: Sequence[str] | None = None
) -> CaseTable:
    """The cases with merged labels; those that become "" are left out, and a note says how many.

    Args:
        table: the cases with their own labels.
        mapping: see `label_map_of`; None changes nothing.
        classes: order of the merged classes; None takes that of the mapping.

    Raises:
        CaseTableError: if a label is in no entry, or the column `ish` holds something else than a result.
    """
    if mapping is None:
        return table
    cases = [(case, _becomes(table.origin, case, mapping)) for case in table.cases]
    kept = tuple(replace(case, label=new) for case, new in cases if new is not None)
    notes = list(table.notes)
    if len(kept) < len(cases):
        first = next(case for case, new in cases if new is None)
        notes.append(
            f"{len(cases) - len(kept)} of {len(cases)} cases are left out by the label map, first {first.case_id} "
            f"({first.label})."
        )
    if not kept:
        raise CaseTableError(f"{table.origin.name}: the label map leaves out every case. Correct cohort.label_map.")
    gone = dict.fromkeys(case.label for case, new in cases if new is None)
    table = table.keep(kept, f"label {', '.join(gone)} by the label map")
    return replace(table, classes=tuple(classes or merged_classes(mapping)), notes=tuple(notes))


def _becomes(origin: Path, case: Case, mapping: Mapping[str, str]) -> str | None:
    """The new label; "" where it is unknown, None where the case is left out."""
    if not case.label:
        return ""
    result = _ish(origin, case)
    for key in (f"{case.label} ish{result}", case.label):
        if key in mapping:
            return mapping[key] or None
    known = [key for key in mapping if " ish" not in key]
    raise CaseTableError(f"{origin.name}: case {case.case_id}: {unknown_label(case.label, known)}")


def _ish(origin: Path, case: Case) -> str:
    """`+`, `-`, or "" where nothing is known."""
    cell = next((value for name, value in case.labels.items() if name.lower() == ISH), "").strip().lower()
    if cell in ("", "na", "n/a", "unknown"):
        return ""
    if cell not in _POSITIVE + _NEGATIVE:
        raise CaseTableError(
            f"{origin.name}: case {case.case_id}: ish is {cell!r}. Write positive or negative, or leave it empty."
        )
    return "+" if cell in _POSITIVE else "-"
