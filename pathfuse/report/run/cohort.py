"""Cohort, parts and examples of a run."""

from __future__ import annotations

import base64
from pathlib import Path

from pathfuse.evaluate.metrics.strata import BORDERS
from pathfuse.report.page import Block, Column, Example, Gallery, Picture, Raw, Record, Section, Table, Text, missing
from pathfuse.runs.files import COHORT, EXAMPLES, Lines, number
from pathfuse.runs.folder import RunFolder

PARTS = {"train": "training", "val": "validation", "test": "test"}
KINDS = {
    "right": f"Right, with a confidence of {BORDERS[0]:g} or more",
    "wrong": f"Wrong, with a confidence of {BORDERS[0]:g} or more",
    "abstained": "Left to a person, right or wrong",
    "unsure": f"With a confidence below {BORDERS[0]:g}, right or wrong",
}
JPEG = b"\xff\xd8\xff"
LARGEST = 300_000  # bytes of a picture that goes into the page


def cohort_section(run: RunFolder) -> Section:
    """From the table to the parts: who was used, who was left out and why."""
    steps = run.json(COHORT).get("flow") or []
    if not steps:
        return Section("cohort", "Cohort", [missing("The folder has no cohort.json, which `pathfuse fit` writes.")])
    columns = [Column("step", "Step"), Column("cases", "Cases", "count"), Column("patients", "Patients", "count")]
    if any(step.get("unlabelled") for step in steps):
        # Of all cases in a step; of those that leave, of the cases that leave.
        steps = [{**step, "labelled": step["cases"] - (step.get("unlabelled") or 0)} for step in steps]
        columns += [Column("labelled", "With label", "count"), Column("unlabelled", "Without label", "count")]
    records: list[Record] = [
        {"step": _step(step), **{column.key: step.get(column.key) for column in columns[1:]}} for step in steps
    ]
    origin = run.json(COHORT).get("origin")
    read = [Text([f"Read from {origin}."])] if origin else []
    return Section("cohort", "Cohort", [*read, Table("flow", "Who was used, and who was left out", columns, records)])


def splits_section(run: RunFolder) -> Section:
    """Cases and patients of every part, by class."""
    rows = run.splits
    if not rows:
        return Section("splits", "Parts", [missing("The folder has no splits.csv.")])
    labels = [*run.predictions.classes, *([""] if any(not row["label"] for row in rows) else [])]
    records: list[Record] = []
    for part, name in PARTS.items():
        own = [row for row in rows if row["split"] == part]
        record: dict[str, Raw] = {"part": name, "cases": len(own), "patients": len({row["patient_id"] for row in own})}
        records.append(record | {f"label_{label}": sum(row["label"] == label for row in own) for label in labels})
    columns = [Column("part", "Part"), Column("cases", "Cases", "count"), Column("patients", "Patients", "count")]
    columns += [Column(f"label_{label}", label or "without label", "count") for label in labels]
    blocks: list[Block] = [Table("parts", "Cases by part and class", columns, records)]
    if run.fold:
        blocks.append(Text([f"The parts are {run.fold}."]))
    return Section("splits", "Parts", blocks)


def examples_section(run: RunFolder) -> Section:
    """Test cases with all their stains side by side: right, wrong, and those that are left to a person."""
    rows = run.lines(f"{EXAMPLES}.csv")
    blocks: list[Block] = []
    for kind, title in KINDS.items():
        own = [row for row in rows if row.get("kind") == kind]
        examples = [example for row in own if (example := _example(run.path / EXAMPLES, row, rows)).pictures]
        if examples:
            blocks.append(Gallery(kind, title, examples))
    if not blocks:
        blocks.append(missing("The folder has no pictures of cases: the run reads features, or was made without them."))
    return Section("examples", "Examples", blocks)


def _example(folder: Path, row: dict[str, str], rows: Lines) -> Example:
    stains = [name.removeprefix("file_") for name in rows[0] if name.startswith("file_")]
    pictures = []
    for stain in stains:
        # Only names, no paths: a folder may come from a stranger.
        path = folder / Path(row.get(f"file_{stain}") or ".").name
        data = path.read_bytes() if path.is_file() and path.stat().st_size < LARGEST else b""
        if data.startswith(JPEG):
            uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
            pictures.append(Picture(uri, f"{stain} of case {row['case_id']}", stain))
    sure = number(row.get("confidence"))
    said = f"True {row.get('target')}, predicted {row.get('predicted')}, given {row.get('subset')}"
    return Example(row["case_id"], said + ("" if sure is None else f", confidence {sure:.2f}"), pictures)


def _step(step: dict[str, object]) -> str:
    text = str(step.get("step", ""))
    return PARTS.get(text, text) if step.get("kind") == "part" else text
