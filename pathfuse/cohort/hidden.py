"""Labels that are hidden from training, so that one cohort shows what more labels are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pathfuse.cohort.table import CaseTable


def with_hidden_labels(table: CaseTable, labelled_patients: int, seed: int) -> CaseTable:
    """The table, with labels of so many training patients only, spread equally over the classes.

    Of the same seed, the patients that keep theirs are among those that keep it when more do. The other parts keep
    all of their labels.

    Args:
        table: the cases, with their parts.
        labelled_patients: how many training patients keep their labels; those that there are, if there are fewer.
        seed: of the draw.
    """
    owners: dict[str, str] = {}
    for case in table.cases:
        if case.split == "train" and case.label:
            owners.setdefault(case.patient_id, case.label)
    kept = set(_in_turn(owners, table.classes, seed)[:labelled_patients])
    if len(kept) == len(owners):
        return table
    cases = [
        replace(case, label="") if case.split == "train" and case.patient_id not in kept else case
        for case in table.cases
    ]
    note = (
        f"Labels of {len(owners) - len(kept)} of {len(owners)} labelled training patients are hidden "
        "(cohort.labelled_patients)."
    )
    return replace(table, cases=tuple(cases), notes=(*table.notes, note))


def _in_turn(owners: dict[str, str], classes: Sequence[str], seed: int) -> list[str]:
    """Patients in an order in which the classes take turns, as long as they have any."""
    random = np.random.default_rng([seed, len(owners)])
    names = list(owners)
    drawn = [names[place] for place in random.permutation(len(names))]
    pools = [[name for name in drawn if owners[name] == label] for label in classes]
    longest = max((len(pool) for pool in pools), default=0)
    return [pool[turn] for turn in range(longest) for pool in pools if turn < len(pool)]
