"""Common ground of runs: one task, the cases that all were tested on, those left out of each, and other differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pathfuse.errors import RunError
from pathfuse.evaluate.compare.run import ComparedRun
from pathfuse.evaluate.compare.scored import Scored


def refuse_unequal_tasks(runs: Sequence[ComparedRun]) -> None:
    """Checks that runs predict the same classes.

    Raises:
        RunError: naming the two runs and their classes.
    """
    first = runs[0]
    for other in runs[1:]:
        if other.classes != first.classes:
            raise RunError(
                f"{first.name} and {other.name} are different tasks: their classes are {', '.join(first.classes)} and "
                f"{', '.join(other.classes)}. Compare runs of one task."
            )


def unequal_splits(runs: Sequence[ComparedRun]) -> list[str]:
    """A line per run that learned from other patients than the first, or consists of other folds."""
    first, notes = runs[0], []
    for other in runs[1:]:
        pair = f"{first.name} and {other.name}"
        one, two = {fold.name for fold in first.folds}, {fold.name for fold in other.folds}
        if len(one) > 1 < len(two) and one != two:
            notes.append(f"{pair} consist of different folds, so there is no signed-rank test over folds.")
            continue
        moved = _moved(first, other)
        if moved:
            notes.append(
                f"{pair}: the splits differ ({moved}). Every case that counts was new to both, but they learned from "
                "different patients, which may be the whole difference."
            )
    return notes


def on_shared_cases(subset: str, scored: Mapping[str, Scored]) -> tuple[dict[str, Scored], list[str]]:
    """The cases that all runs were tested on, and a line about those that are left out.

    Args:
        subset: what the runs were given, for the line.
        scored: the test cases of each run.

    Returns:
        The runs with the same cases in the same order; nothing where they share none.

    Raises:
        RunError: if the runs contradict each other about a case.
    """
    shared = set.intersection(*(set(own.case_ids) for own in scored.values()))
    if not shared:
        return {}, [f"{subset}: {', '.join(scored)} have no test case in common."]
    found = {name: own.of_cases(shared) for name, own in scored.items()}
    first, *others = found
    for name in others:
        problem = difference(first, found[first], name, found[name])
        if problem:
            raise RunError(f"{first} and {name}, {subset}: {problem} Test both on the same patients.")
    lost = [line for name, own in scored.items() if (line := _lost(name, own, shared))]
    patients = len(set(found[first].patient_ids))
    if not lost:
        return found, []
    return found, [f"{subset}: compared on the {patients} patients that all share. Left out: {'; '.join(lost)}."]


def difference(name: str, one: Scored, other_name: str, other: Scored) -> str:
    """What two runs say differently about the same cases, as a sentence; empty if nothing."""
    for case, patient, theirs in zip(one.case_ids, one.patient_ids, other.patient_ids, strict=True):
        if patient != theirs:
            return f"case {case} belongs to patient {patient} in {name}, but to {theirs} in {other_name}."
    labels = np.flatnonzero(one.target != other.target)
    if len(labels):
        return f"{len(labels)} cases have another label, first {one.case_ids[labels[0]]}."
    if len(one.passes) != len(other.passes):
        return f"every case was tested {len(one.passes)} times in {name}, but {len(other.passes)} in {other_name}."
    return ""


def _lost(name: str, own: Scored, shared: set[str]) -> str:
    left = [(case, patient) for case, patient in zip(own.case_ids, own.patient_ids, strict=True) if case not in shared]
    if not left:
        return ""
    cases, patients = len(left), len({patient for _, patient in left})
    said = f"{cases} case{'s' * (cases > 1)} of {patients} patient{'s' * (patients > 1)}"
    return f"{said} only in {name}, first {left[0][0]}"


def _moved(first: ComparedRun, other: ComparedRun) -> str:
    """How the splits of two runs differ; empty where they do not, or nobody says."""
    for one, two in zip(first.folds, other.folds, strict=False):
        if one.parts and two.parts:
            both = set(one.parts) & set(two.parts)
            moved = sorted(case for case in both if one.parts[case] != two.parts[case])
            if moved:
                return f"{len(moved)} of {len(both)} cases are in another part, first {moved[0]}"
            if alone := len(set(one.parts) ^ set(two.parts)):
                return f"{alone} case{'s are' if alone > 1 else ' is'} in one of them only"
        elif one.split_hash and two.split_hash and one.split_hash != two.split_hash:
            return "split_sha256 of versions.json"
    return ""
