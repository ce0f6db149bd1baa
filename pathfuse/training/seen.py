"""Patients that a model knows already: a test on them says nothing about others."""

from __future__ import annotations

import csv
from pathlib import Path

from pathfuse.data.contract import CaseData

SPLITS = "splits.csv"
FOLDER = "checkpoints"


def warning_of_seen(checkpoint: Path, data: CaseData) -> str:
    """A line about test patients on which the model was trained or selected; empty if there are none.

    Args:
        checkpoint: `checkpoints/<stage>/<name>` in a run folder; of any other file nothing is known.
        data: the cases to test or predict.
    """
    stage = checkpoint.resolve().parent
    splits = stage.parent.parent / SPLITS
    if stage.parent.name != FOLDER or not splits.is_file():
        return ""
    with splits.open(encoding="utf-8", newline="") as file:
        before = {row["patient_id"] for row in csv.DictReader(file) if row["split"] in ("train", "val")}
    tested = {row.patient_id for row in data.split_table() if row.split == "test"}
    both = sorted(tested & before)
    if not both:
        return ""
    return (
        f"WARNING: {len(both)} of {len(tested)} test patients have the id of one that the model was trained or "
        f"selected on, first {both[0]}. Leave them out, unless they are other people: it has seen their answers."
    )
