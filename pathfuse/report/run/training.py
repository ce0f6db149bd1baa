"""Training curves of a run."""

from __future__ import annotations

from pathfuse.charts.lines import Line, curves
from pathfuse.charts.style import svg
from pathfuse.report.page import Block, Chart, Section, missing
from pathfuse.runs.files import Lines, number
from pathfuse.runs.folder import RunFolder

PANELS = {
    "Loss": ("train/loss", "val/loss"),
    "Validation": ("val/balanced_accuracy", "val/auroc"),
    "Correlation from one stain": (
        "val/mean_correlation_from_he",
        "val/mean_correlation_from_he_shuffled",
        "val/mean_correlation_from_he_grey",
    ),
    "Retrieval": (
        "val/retrieval_rank1_from_he",
        "val/retrieval_pooled_rank1_from_he",
        "val/retrieval_chance_from_he",
    ),
}
MOST_EPOCHS = 400


def curves_section(run: RunFolder) -> Section:
    """Loss and validation metrics per epoch and stage."""
    blocks: list[Block] = []
    for stage, rows in run.curves().items():
        for panel, names in PANELS.items():
            lines = {name: line for name in names if (line := _line(rows, name)).x}
            if lines:
                title = f"{panel}, stage {stage}"
                drawn = svg(
                    curves(lines, y=panel, selected=run.kept_epoch(stage)), title, f"{', '.join(lines)} per epoch."
                )
                data = {name: {"x": list(line.x), "y": list(line.y)} for name, line in lines.items()}
                blocks.append(Chart(f"{panel}_{stage}", title, drawn, data))
    return Section("training", "Training", blocks or [missing("The folder has no training curves.")])


def _line(rows: Lines, name: str) -> Line:
    found = [(number(row.get("epoch")), number(row.get(name))) for row in rows]
    points = [(x, y) for x, y in found if x is not None and y is not None]
    step = max(1, -(-len(points) // MOST_EPOCHS))
    return Line([x for x, _ in points[::step]], [y for _, y in points[::step]])
