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
        if training:  # cases to be predicted may all be of one class
            _refuse_no_classes(table)
        return table
    if len(bare) == len(training):
        columns = dict.fromkeys(name for case in training for name in case.labels if name != "slide_id")
        others = ", ".join(list(columns)[:8])
        how = (
            "Name files NNNNN_split_SCORE.png."
            if table.kind == "folder of pairs"
            else f"Fill in the column of labels, or name it with --label{f' ({others})' if others else ''}."
        )
        raise CaseTableError(
            f"{table.origin.name}: no training case has a label, and this model learns from labels. {how}"
        )
    kept = [case for case in table.cases if case.label or case.split != "train"]
    _refuse_no_classes(table)
    note = f"{len(bare)} of {len(training)} training cases have no label and are left out, first {bare[0]}."
    return replace(table.keep(kept, "no label in training"), notes=(*table.notes, note))


FEW = 8
"""Labelled cases from which on labels that hardly ever repeat are no classes."""


def no_classes(table: CaseTable) -> str:
    """What speaks against the labels of a table as classes; empty if nothing does.

    A measurement or a name has as many values as cases, and what is the same everywhere tells nothing apart.
    """
    labels = [case.label for case in table.cases if case.label]
    if len(labels) < FEW or table.kind == "":
        return ""
    values = sorted(set(labels))
    if 2 * len(values) > len(labels):
        return (
            f"the labels of {len(labels)} cases have {len(values)} values ({', '.join(values[:3])}, ...), as a "
            "measurement or a name has. Name the column of classes with --label, or merge them with cohort.label_map"
        )
    if len(values) == 1 and len(table.classes) < 2:
        return f"every label is {values[0]!r}, so there is nothing to tell apart. Name another column with --label"
    return ""


def _refuse_no_classes(table: CaseTable) -> None:
    if said := no_classes(table):
        raise CaseTableError(f"{table.origin.name}: {said}.")
