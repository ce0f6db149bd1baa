"""Draws the parts that a source does not bring: stratified, seeded, and never through a patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pathfuse.cohort.table import PARTS, Case
from pathfuse.errors import CaseTableError


def draw_parts(
    cases: Sequence[Case], *, val_fraction: float, test_fraction: float, seed: int, redraw: bool = False
) -> tuple[list[Case], list[str]]:
    """The cases with a part each, and what to know about the parts.

    A source with parts keeps them; only a missing validation part is drawn, from the training part. A source without
    parts gets a test part first and a validation part from what remains. All cases of a patient stay together.

    Args:
        cases: the cases.
        val_fraction: fraction of the training part that becomes validation.
        test_fraction: fraction of all that becomes test; used when the source has no parts.
        seed: of the draw.
        redraw: forget the parts of the source.

    Raises:
        CaseTableError: if a patient is in two parts.
    """
    drawn = [replace(case, split="") for case in cases] if redraw else list(cases)
    notes: list[str] = []
    if not any(case.split for case in drawn):
        drawn = [replace(case, split="train") for case in drawn]
        drawn = _carve(drawn, "test", test_fraction, seed, notes)
        notes.append(f"The source has no parts in use: train, val and test are drawn by patient with seed {seed}.")
    _refuse_overlap(drawn)
    has = {case.split for case in drawn}
    if "train" in has and "val" not in has:
        drawn = _carve(drawn, "val", val_fraction, seed, notes)
    return drawn, notes + describe_parts(drawn)


def _carve(cases: list[Case], part: str, fraction: float, seed: int, notes: list[str]) -> list[Case]:
    """Moves about `fraction` of the training patients to `part`."""
    training = [case for case in cases if case.split == "train"]
    patients = sorted({case.patient_id for case in training})
    if fraction == 0 or len(patients) < 2:
        return cases
    # A patient counts as the rarest of its labels, so that every patient has exactly one stratum.
    common = Counter(case.label for case in training)
    stratum: dict[str, str] = {}
    for case in training:
        before = stratum.setdefault(case.patient_id, case.label)
        stratum[case.patient_id] = min(before, case.label, key=lambda label: (common[label], label))
    sizes = Counter(stratum.values())
    small = sorted(label for label, count in sizes.items() if count < 2 or round(count * fraction) < 1)
    if any(small):
        notes.append(f"{_names([label for label in small if label])} too small for {part} and stays in training.")
    moved = _pick([patient for patient in patients if stratum[patient] not in small], stratum, fraction, seed)
    return [replace(case, split=part) if case.split == "train" and case.patient_id in moved else case for case in cases]


def _pick(patients: list[str], stratum: dict[str, str], fraction: float, seed: int) -> set[str]:
    if not patients:
        return set()
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]  # a second, where none is drawn

    strata = [stratum[patient] for patient in patients]
    classes = len(set(strata))
    # Every class has two patients or more here, so there is room for one on either side.
    wanted = min(max(round(fraction * len(patients)), classes), len(patients) - classes)
    _, picked = train_test_split(patients, test_size=wanted, stratify=strata, random_state=seed)
    return set(picked)


def _names(labels: Sequence[str]) -> str:
    return f"Class {labels[0]} is" if len(labels) == 1 else f"Each of the classes {', '.join(labels)} is"


def _refuse_overlap(cases: Sequence[Case]) -> None:
    first: dict[str, Case] = {}
    for case in cases:
        other = first.setdefault(case.patient_id, case)
        if other.split != case.split:
            raise CaseTableError(
                f"patient {case.patient_id} is in {other.split} (case {other.case_id}) and in {case.split} "
                f"(case {case.case_id}). Move all its cases to one part, or have parts drawn with `split: drawn`."
            )


def describe_parts(cases: Sequence[Case]) -> list[str]:
    """A line per part: its size, its classes, and what is missing."""
    labels = sorted({case.label for case in cases if case.label})
    notes = []
    for part in PARTS:
        here = Counter(case.label for case in cases if case.split == part)
        absent = [label for label in labels if not here[label]]
        if not here:
            notes.append(f"There is no {part} part.")
            continue
        counts = ", ".join(f"{label or 'no label'}: {here[label]}" for label in [*labels, ""] if here[label])
        notes.append(f"{part}: {here.total()} cases ({counts}).")
        if absent and len(absent) < len(labels):
            notes.append(f"The {part} part has no case of {', '.join(absent)}.")
        if part == "train" and len(labels) > 1 == len(labels) - len(absent):
            notes.append("The train part has only one class: nothing can be learnt about the others.")
    return notes
