"""ROC curves, precision-recall curves and the confusion matrix of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve  # type: ignore[import-untyped]

from pathfuse.charts.confusion import confusion
from pathfuse.charts.lines import Line, precision_recall, roc
from pathfuse.charts.style import svg
from pathfuse.report.page import Block, Chart, Column, Raw, Section, Table, missing
from pathfuse.report.run.chart_lines import drawn_subsets, line, points
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions

KINDS = (
    ("roc", "ROC", roc, "Sensitivity against 1 - specificity for every threshold, one class against the rest."),
    ("pr", "Precision-recall", precision_recall, "Precision against recall for every threshold, per class."),
)


def ranking_section(run: RunFolder, cases: Iterable[str]) -> Section:
    """ROC and precision-recall curves, a line per class."""
    curves = {subset: _curves(run, subset) for subset in drawn_subsets(run, cases)}
    blocks: list[Block] = []
    for kind, name, draw, says in KINDS:
        for subset, own in curves.items():
            if own[kind]:
                title = f"{name}, given {subset}"
                areas = ", ".join(f"{label} {one.note}" for label, one in own[kind].items())
                drawn = svg(draw(own[kind]), title, f"{says} Areas: {areas}.")
                blocks.append(Chart(f"{kind}_{subset}", title, drawn, points(own[kind])))
    none = [subset for subset, own in curves.items() if not own["roc"]]
    blocks += [missing(f"{subset}: only one class has test cases, so there is no curve.") for subset in none]
    return Section("ranking", "ROC and precision-recall", blocks)


def _curves(run: RunFolder, subset: str) -> dict[str, dict[str, Line]]:
    own, metrics = run.test_cases[subset], run.metrics.get(subset, {})
    found: dict[str, dict[str, Line]] = {"roc": {}, "pr": {}}
    for index, name in enumerate(run.predictions.classes):
        truth, score = own.rows.target == index, own.rows.prob[:, index]
        if truth.all() or not truth.any():
            continue
        false, true, _ = roc_curve(truth, score)
        precision, recall, _ = precision_recall_curve(truth, score)
        found["roc"][name] = line(false, true, metrics.get(f"test/auroc/{name}"))
        found["pr"][name] = line(recall, precision, metrics.get(f"test/auprc/{name}"))
    return found


def confusion_section(run: RunFolder, cases: Iterable[str]) -> Section:
    """Counts of truth against prediction, as a picture and as a table."""
    classes = run.predictions.classes
    charts, tables, shown = [], [], drawn_subsets(run, cases)
    for number, subset in enumerate([*shown, *(name for name in cases if name not in shown)]):
        counts = confusion_counts(run.test_cases[subset], len(classes))
        records: list[dict[str, Raw]] = [
            {"true": name, **{f"predicted_{other}": int(n) for other, n in zip(classes, row, strict=True)}}
            for name, row in zip(classes, counts, strict=True)
        ]
        title = f"Confusion matrix, given {subset}"
        if subset in shown:
            drawn = svg(
                confusion(counts.tolist(), classes), title, "Lines: truth. Columns: prediction. Counts of cases."
            )
            charts.append(Chart(f"confusion_{subset}", title, drawn, counts.tolist()))
        columns = [Column("true", "True"), *(Column(f"predicted_{c}", f"Predicted {c}", "count") for c in classes)]
        tables.append(Table(f"counts_{number}", f"{title}: cases", columns, records, folded=True))
    return Section("confusion", "Confusion matrix", [*charts, *tables])


def confusion_counts(own: SubsetPredictions, classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(C, C) cases, rows true and columns predicted."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (own.rows.target, own.rows.predicted), 1)
    return counts
