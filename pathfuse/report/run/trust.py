"""Reliability diagrams of a run, risk against coverage, and what was chosen on validation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pathfuse.charts.lines import risk_coverage
from pathfuse.charts.points import Bin, reliability
from pathfuse.charts.style import svg
from pathfuse.report.page import Block, Chart, Column, Section, Table, missing
from pathfuse.report.run.chart_lines import drawn_subsets, line, points
from pathfuse.runs.files import CALIBRATION, RELIABILITY, RISK_COVERAGE, Lines, number
from pathfuse.runs.folder import RunFolder

ABSTENTION = {
    "threshold": "Keeps from confidence",
    "target_risk": "Target risk",
    "validation_risk": "Risk on validation",
    "validation_coverage": "Coverage on validation",
}
PROMISED = {
    "abstained": "Share abstained",
    "risk_kept": "Risk of the kept",
    "risk_abstained": "Risk of the others",
    "set_coverage": "Truth inside the set",
    "set_size": "Classes per set",
}
TOP = "all"
TOP_NAME = "the most likely"


def calibration_section(run: RunFolder, cases: Collection[str]) -> Section:
    """Reliability diagrams before and after calibration, and the errors."""
    rows = run.lines(RELIABILITY)
    blocks: list[Block] = [_errors(run, cases)]
    if not rows:
        blocks.append(
            missing("There is no reliability.csv in the folder, so no diagram. `pathfuse test RUN` writes it.")
        )
    calibrated = any(row["stage"] == "after" for row in rows)
    for stage in ("before", "after"):
        for subset in drawn_subsets(run, cases):
            own = [row for row in rows if row["subset"] == subset and row["stage"] == stage]
            if own:
                title = f"Reliability{f' {stage} calibration' if calibrated else ''}, given {subset}"
                series = {TOP_NAME if name == TOP else name: bins for name, bins in _bins(own).items()}
                drawn = svg(reliability(series), title, "Observed share against mean predicted probability, in bins; "
                            "on the diagonal the probabilities mean what they say.")  # fmt: skip
                data = {name: [bin_._asdict() for bin_ in bins] for name, bins in series.items()}
                blocks.append(Chart(f"reliability_{stage}_{subset}", title, drawn, data))
    return Section("calibration", "Calibration", blocks)


def selection_section(run: RunFolder, cases: Collection[str]) -> Section:
    """What the run would do if it left its least sure cases to a person."""
    rows, calibration = run.lines(RISK_COVERAGE), run.sealed_json(CALIBRATION)
    blocks: list[Block] = []
    if calibration:
        blocks += _chosen(run, calibration, cases)
    else:
        blocks.append(
            missing("Nothing was calibrated on the validation part, so no threshold for abstaining is chosen.")
        )
    if not rows:
        blocks.append(missing("There is no risk_coverage.csv in the folder. `pathfuse test RUN` writes it."))
    for subset in drawn_subsets(run, cases):
        lines = {}
        for score in dict.fromkeys(row["score"] for row in rows if row["subset"] == subset):
            own = [row for row in rows if row["subset"] == subset and row["score"] == score]
            x, y = ([float(row[key]) for row in own] for key in ("coverage", "risk"))
            lines[score] = line(x, y, _aurc(run, subset, score))
        if lines:
            title = f"Risk against coverage, given {subset}"
            says = "The share of errors among the cases that are kept, when the least sure ones are left to a person."
            drawn = svg(risk_coverage(lines), title, says)
            blocks.append(Chart(f"risk_coverage_{subset}", title, drawn, points(lines)))
    return Section("selection", "Risk and coverage", blocks)


def _errors(run: RunFolder, cases: Collection[str]) -> Block:
    keys = {"ece": "ECE", "ece_adaptive": "Adaptive ECE", "brier": "Brier score", "log_loss": "Log loss"}
    records = []
    for subset in cases:
        metrics = run.metrics.get(subset, {})
        for stage, prefix in (("before", "test/"), ("after", "test/calibrated/")):
            found = {key: metrics[prefix + key] for key in keys if prefix + key in metrics}
            if found:
                records.append({"given": subset, "stage": stage, **{key: found.get(key) for key in keys}})
    if not records:
        return missing("metrics.json has no calibration error. `pathfuse test RUN` measures it.")
    columns = [Column("given", "Given", "given"), Column("stage", "Calibration")]
    columns += [Column(key, head, "share") for key, head in keys.items()]
    return Table("errors", "Calibration errors on the test part", columns, records)


def _chosen(run: RunFolder, calibration: dict[str, Any], cases: Collection[str]) -> list[Block]:
    """What was chosen on validation, and what became of it on the test part."""
    fitted = {"pooled": calibration["pooled"], **calibration["subsets"]}
    records = [
        {"fitted_on": name, **{key: own.get(key) for key in ("cases", "patients", "confidence")}}
        | {"temperature": own["temperature"].get("value")}
        | {key: own["abstention"].get(key) for key in ABSTENTION}
        for name, own in fitted.items()
    ]
    columns = [Column("fitted_on", "Chosen on validation for"), Column("cases", "Predictions", "count")]
    columns += [Column("patients", "Patients", "count"), Column("temperature", "Temperature", "share")]
    columns += [Column("confidence", "Decides on abstaining")]
    columns += [Column(key, head, "share") for key, head in ABSTENTION.items()]
    promised = [
        {
            "given": subset,
            **{key: metrics.get(f"test/{key}") for key in [*PROMISED, "set_coverage_low", "set_coverage_high"]},
        }
        for subset, metrics in run.metrics.items()
        if subset in cases and "test/abstained" in metrics
    ]
    reached = [Column("given", "Given", "given")]
    reached += [
        Column(k, h, "number" if k == "set_size" else "share", k == "set_coverage") for k, h in PROMISED.items()
    ]
    blocks: list[Block] = [
        Table("chosen", "Calibration and abstention, chosen on the validation part", columns, records)
    ]
    if promised:
        blocks.append(Table("promised", "What became of it on the test part", reached, promised))
    return blocks


def _bins(rows: Lines) -> dict[str, list[Bin]]:
    found: dict[str, list[Bin]] = {}
    for row in rows:
        one = Bin(float(row["confidence"]), float(row["accuracy"]), int(number(row["n"]) or 0))
        found.setdefault(row["class"], []).append(one)
    return found


def _aurc(run: RunFolder, subset: str, score: str) -> float | None:
    name = "calibrated/aurc" if score == "calibrated" else f"aurc_{score}"
    return run.metrics.get(subset, {}).get(f"test/{name}")
