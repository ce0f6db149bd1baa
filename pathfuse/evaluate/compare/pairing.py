"""Checks that runs can be compared: one task, the same folds, the same cases; the first difference is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pathfuse.errors import RunError
from pathfuse.evaluate.compare.run import ComparedRun
from pathfuse.evaluate.compare.scored import Scored


def refuse_unequal_runs(runs: Sequence[ComparedRun]) -> None:
    """Checks that runs have the same task, the same folds and the same split.

    Raises:
        RunError: naming the two runs and the first difference.
    """
    first = runs[0]
    for other in runs[1:]:
        if other.classes != first.classes:
            raise RunError(
                f"{first.name} and {other.name} are different tasks: their classes are {', '.join(first.classes)} and "
                f"{', '.join(other.classes)}. Compare runs of one task."
            )
        _same_folds(first, other)
        for one, two in zip(first.folds, other.folds, strict=True):
            place = f" in {one.name}" if one.name else ""
            _same_split(f"{first.name} and {other.name}{place}", first.name, other.name, one.parts, two.parts)
            known = one.split_hash and two.split_hash and not (one.parts and two.parts)
            if known and one.split_hash != two.split_hash:
                raise RunError(
                    f"{first.name} and {other.name}{place}: the splits differ (split_sha256 of versions.json). "
                    "Train both on one split."
                )


def refuse_unequal_cases(subset: str, names: Sequence[str], scored: Sequence[Scored]) -> None:
    """Checks that runs were tested on the same cases, patients and labels.

    Raises:
        RunError: naming the two runs and the first difference.
    """
    for name, other in zip(names[1:], scored[1:], strict=True):
        problem = difference(names[0], scored[0], name, other)
        if problem:
            raise RunError(f"{names[0]} and {name}, {subset}: {problem} Test both on the same patients.")


def difference(name: str, one: Scored, other_name: str, other: Scored) -> str:
    """The first difference between the test cases of two runs as a sentence; empty if there is none."""
    if one.case_ids != other.case_ids:
        return _first_missing(name, set(one.case_ids), other_name, set(other.case_ids), "test case")
    for case, patient, theirs in zip(one.case_ids, one.patient_ids, other.patient_ids, strict=True):
        if patient != theirs:
            return f"case {case} belongs to patient {patient} in {name}, but to {theirs} in {other_name}."
    labels = np.flatnonzero(one.target != other.target)
    if len(labels):
        return f"{len(labels)} cases have another label, first {one.case_ids[labels[0]]}."
    if len(one.passes) != len(other.passes):
        return f"every case was tested {len(one.passes)} times in {name}, but {len(other.passes)} in {other_name}."
    return ""


def _same_folds(first: ComparedRun, other: ComparedRun) -> None:
    if len(first.folds) == len(other.folds) == 1:
        return
    one, two = {fold.name for fold in first.folds}, {fold.name for fold in other.folds}
    if one != two:
        problem = _first_missing(first.name, one, other.name, two, "fold")
        raise RunError(f"{first.name} and {other.name} consist of different folds: {problem} Finish all folds.")


def _same_split(pair: str, name: str, other_name: str, one: Mapping[str, str], two: Mapping[str, str]) -> None:
    if not one or not two or one == two:
        return
    if set(one) != set(two):
        problem = _first_missing(name, set(one), other_name, set(two), "case")
        raise RunError(f"{pair}: the splits differ. {problem} Train both on one split.")
    moved = sorted(case for case in one if one[case] != two[case])
    raise RunError(
        f"{pair}: the splits differ in {len(moved)} of {len(one)} cases. The first is {moved[0]}, in "
        f"{one[moved[0]]} of {name} and in {two[moved[0]]} of {other_name}. Train both on one split."
    )


def _first_missing(name: str, one: set[str], other_name: str, two: set[str], what: str) -> str:
    only, theirs = sorted(one - two), sorted(two - one)
    parts = [
        f"{len(lack)} {what}{'s' * (len(lack) > 1)} only in {own}, first {lack[0] or 'the run itself'}"
        for own, lack in ((name, only), (other_name, theirs))
        if lack
    ]
    return "; ".join(parts) + "."
