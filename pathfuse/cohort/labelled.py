"""Labelled training cases, for what learns from labels."""

from __future__ import annotations

from dataclasses import replace

from pathfuse.cohort.table import CaseTable
from pathfuse.errors import CaseTableError


def labelled_training(table: CaseTable) -> CaseTable:
    """The table without unlabelled training cases, and a note that says how many there were.

    Raises:
        CaseTableError: if no training case has a label.
    """
    training = [case for case in table.cases if case.split == "train"]
    bare = [case.case_id for case in training if not case.label]
    if not bare:
        return table
    if len(bare) == len(training):
        others = ", ".join(list(dict.fromkeys(name for case in training for name in case.labels))[:8])
        how = (
            "Name files NNNNN_split_SCORE.png."
            if table.kind == "folder of pairs"
            else f"Fill in the column of labels, or name it with --label{f' ({others})' if others else ''}."
        )
        raise CaseTableError(
            f"{table.origin.name}: no training case has a label, and this model learns from labels. {how}"
        )
    kept = [case for case in table.cases if case.label or case.split != "train"]
    note = f"{len(bare)} of {len(training)} training cases have no label and are left out, first {bare[0]}."
    return replace(table.keep(kept, "no label in training"), notes=(*table.notes, note))
