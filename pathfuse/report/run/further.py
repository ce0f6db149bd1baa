"""Metrics that a recipe adds to ours, on the page of a run."""

from __future__ import annotations

from collections.abc import Sequence

from pathfuse.evaluate.metrics.standard import CALIBRATION, CLASSIFICATION, RESERVED
from pathfuse.evaluate.names import metric_name
from pathfuse.report.page import Column, Record, Table
from pathfuse.runs.folder import RunFolder


def further_table(run: RunFolder, subsets: Sequence[str]) -> Table | None:
    """A row per subset with what no run reports by itself; None where the recipe adds nothing.

    Args:
        run: a tested run.
        subsets: those that are shown.
    """
    ours = {name for metric in (*CLASSIFICATION, *CALIBRATION) for name in metric.names(run.predictions.classes)}
    ours |= {f"{name}_{end}" for name in ours for end in ("low", "high")}
    names = [
        name
        for name in dict.fromkeys(key.removeprefix("test/") for subset in subsets for key in run.metrics.get(subset, {})
                                  if key.startswith("test/"))
        if name not in ours and name.partition("/")[0] not in RESERVED
    ]  # fmt: skip
    if not names:
        return None
    records: list[Record] = [
        {"given": subset, **{name: run.metrics.get(subset, {}).get(f"test/{name}") for name in names}}
        for subset in subsets
    ]
    columns = [Column("given", "Given", "given"), *(Column(name, metric_name(name), "share") for name in names)]
    return Table("further", "Metrics that the recipe adds", columns, records)
