"""The page about a comparison of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pathfuse.charts.points import Estimate, forest
from pathfuse.charts.style import svg
from pathfuse.errors import RunError, cannot_be_read
from pathfuse.evaluate.compare.files import STRATA, explanations
from pathfuse.evaluate.compare.findings import CompareOptions, Comparison, Difference, Stratum, Value
from pathfuse.report.page import Block, Chart, Column, Page, Raw, Section, Table, Text, missing

FILE = "comparison.json"
MOST_ROWS = 40  # of a chart; the table has all
P_VALUES = {
    "p_permutation": "p",
    "p_permutation_holm": "p (Holm)",
    "p_delong": "DeLong p",
    "p_delong_holm": "DeLong p (Holm)",
    "p_wilcoxon": "Wilcoxon p",
    "p_wilcoxon_holm": "Wilcoxon p (Holm)",
}


def comparison_page(comparison: Comparison) -> Page:
    """Tables, a forest plot of the differences, strata, and how to read them."""
    sections = comparison_sections(comparison)
    return Page(
        f"{', '.join(comparison.runs)} compared",
        f"Classes: {', '.join(comparison.classes)}",
        sections,
        {"comparison": asdict(comparison)},
    )


def comparison_sections(comparison: Comparison) -> list[Section]:
    """The chapters, which the page of a study has too."""
    return [_values(comparison), _differences(comparison), _strata(comparison), _reading(comparison)]


def read_comparison(folder: Path) -> Comparison:
    """A comparison as its page wrote it.

    Raises:
        RunError: if the file cannot be read.
    """
    path = folder / FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))["comparison"]
        options = raw["options"]
        return Comparison(
            tuple(raw["runs"]),
            tuple(raw["classes"]),
            CompareOptions(**{**options, "metrics": tuple(options["metrics"])}),
            tuple(Value(**_with_nan(one)) for one in raw["values"]),
            tuple(Difference(**_with_nan(one)) for one in raw["differences"]),
            tuple(Stratum(**_with_nan(one)) for one in raw["strata"]),
            tuple(raw["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise cannot_be_read(RunError, path, error, "Compare again with `pathfuse compare`.") from error


def _with_nan(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float("nan") if value is None else value for key, value in record.items()}


def _values(comparison: Comparison) -> Section:
    records: list[dict[str, Raw]] = [
        {
            **{"run": v.run, "given": v.subset, "metric": v.metric},
            **{"n_cases": v.n_cases, "n_patients": v.n_patients},
            **{"value": v.value, "value_low": v.low, "value_high": v.high},
        }
        for v in comparison.values
    ]
    columns = [Column("run", "Run"), Column("given", "Given"), Column("metric", "Metric")]
    columns += [Column("n_cases", "Cases", "count"), Column("n_patients", "Patients", "count")]
    columns += [Column("value", "Value", "share", interval=True)]
    table = Table("values", "Metrics of every run, with intervals over patients", columns, records)
    return Section("values", "Values", [table])


def _differences(comparison: Comparison) -> Section:
    found = comparison.differences
    if not found:
        return Section("differences", "Differences", [missing("There is no pair of runs to compare.")])
    blocks: list[Block] = []
    for metric in dict.fromkeys(one.metric for one in found):
        own = [one for one in found if one.metric == metric][:MOST_ROWS]
        rows = [Estimate(f"{d.run} - {d.baseline}\ngiven {d.subset}", d.difference, d.low, d.high) for d in own]
        title = f"Difference in {metric}, with {comparison.options.level:.0%} interval"
        says = "Diamonds: the interval keeps off zero. Circles: it does not. To the right the run has the higher value."
        data = [{"run": d.run, "baseline": d.baseline, "given": d.subset, "difference": d.difference,
                 "low": d.low, "high": d.high} for d in own]  # fmt: skip
        blocks.append(Chart(f"forest_{metric}", f"{title}. {says}", svg(forest(rows, x=title), title, says), data))
    applies = {key: head for key, head in P_VALUES.items() if any(asdict(d)[key] == asdict(d)[key] for d in found)}
    records: list[dict[str, Raw]] = [
        {"pair": f"{d.run} - {d.baseline}", "given": d.subset, "metric": d.metric}
        | {"difference": d.difference, "difference_low": d.low, "difference_high": d.high}
        | {key: asdict(d)[key] for key in ("error_reduction", "only_run_right", "only_baseline_right", "cohens_g")}
        | {key: asdict(d)[key] for key in applies}
        for d in found
    ]
    columns = [Column("pair", "Run - baseline"), Column("given", "Given"), Column("metric", "Metric")]
    columns += [Column("difference", "Difference", "signed", interval=True)]
    columns += [Column(key, head, "p") for key, head in applies.items()]
    columns += [Column("error_reduction", "Error reduction", "percent")]
    columns += [Column("only_run_right", "Right only in run", "number")]
    columns += [Column("only_baseline_right", "Right only in baseline", "number"), Column("cohens_g", "g", "signed")]
    return Section("differences", "Differences", [*blocks, Table("pairs", "Every pair", columns, records)])


def _strata(comparison: Comparison) -> Section:
    records: list[dict[str, Raw]] = [
        {
            **{"run": s.run, "given": s.subset, "confidence": STRATA.get(s.stratum, s.stratum)},
            **{"n": s.n, "accuracy": s.accuracy, "auroc": s.auroc},
        }
        for s in comparison.strata
    ]
    columns = [Column("run", "Run"), Column("given", "Given"), Column("confidence", "Confidence")]
    columns += [Column("n", "Cases", "count"), Column("accuracy", "Accuracy", "share")]
    columns += [Column("auroc", "AUC-ROC", "share")]
    return Section("strata", "Confidence", [Table("strata", "Strata by confidence", columns, records)])


def _reading(comparison: Comparison) -> Section:
    return Section("reading", "How to read this", [Text(explanations(comparison), points=True)])
