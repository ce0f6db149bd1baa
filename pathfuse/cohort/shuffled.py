"""Pairs taken apart: cases with a stain of another patient, the control that shows what pairs are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pathfuse.cohort.table import Case, CaseTable
from pathfuse.errors import CaseTableError


def with_strangers(table: CaseTable, parts: Mapping[str, str], stains: Sequence[str], seed: int) -> CaseTable:
    """The cases, each with the files that another patient of its part has of these stains.

    Patients are put in a random circle, and each takes the files of the next; several cases take those of its cases
    in turn. A case without the stain stays without. The label stays with the files that are not exchanged.

    Args:
        table: the cases.
        parts: part of every case, by case_id.
        stains: what is exchanged.
        seed: of the circles.

    Raises:
        CaseTableError: for a stain that no case has, a part with one patient of it, or cases that share a file.
    """
    if not table.modalities:
        return table  # patients of whom nothing has been drawn yet
    cases = {case.case_id: case for case in table.cases}
    for number, stain in enumerate(stains):
        own = [case for case in table.cases if case.files.get(stain)]
        _refuse(table, stain, own)
        for part in dict.fromkeys(parts[case.case_id] for case in own):
            here = [case for case in own if parts[case.case_id] == part]
            for case, lender in _lenders(here, [seed, number, len(here)], f"{table.origin.name}: part {part}", stain):
                before = cases[case.case_id]
                cases[case.case_id] = replace(before, files={**before.files, stain: lender.files[stain]})
    note = f"A control, not a cohort: every case has the {' and '.join(stains)} of another patient (cohort.shuffled)."
    return replace(table, cases=tuple(cases.values()), notes=(*table.notes, note))


def _refuse(table: CaseTable, stain: str, own: Sequence[Case]) -> None:
    if stain not in table.modalities:
        raise CaseTableError(
            f"cohort.shuffled names {stain!r}, but {table.origin.name} has {', '.join(table.modalities)}. Correct it, "
            "or null."
        )
    if any(case.row is not None for case in own):
        raise CaseTableError(
            f"cohort.shuffled exchanges files, and many cases of {table.origin.name} share one. Use null."
        )


def _lenders(cases: Sequence[Case], seed: Sequence[int], place: str, stain: str) -> list[tuple[Case, Case]]:
    patients: dict[str, list[Case]] = {}
    for case in cases:
        patients.setdefault(case.patient_id, []).append(case)
    if len(patients) == 1:
        raise CaseTableError(
            f"{place} has one patient with {stain}, and cohort.shuffled takes that of another. Add patients, or null."
        )
    names = list(patients)
    circle = [names[place] for place in np.random.default_rng(list(seed)).permutation(len(names))]
    pairs = []
    for taker, giver in zip(circle, [*circle[1:], circle[0]], strict=True):
        lent = patients[giver]
        pairs += [(case, lent[position % len(lent)]) for position, case in enumerate(patients[taker])]
    return pairs
