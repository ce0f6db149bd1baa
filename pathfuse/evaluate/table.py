"""The table that closes a run, from what `metrics.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from pathfuse.evaluate.names import AS_AVAILABLE

Metrics = Mapping[str, Mapping[str, float | None]]
"""Subset of modalities given to the model, such as `he` or `he+ihc`, to metric names and values.

A value that is not defined is NaN, or None as JSON has no NaN.
"""

COLUMNS = {
    "AUC-ROC": "auroc",
    "PR-AUC": "auprc",
    "MCC": "mcc",
    "Weighted\nprecision": "weighted_precision",
    "Weighted\nrecall": "weighted_recall",
    "Quadratic\nkappa": "kappa_quadratic",
}
TRUST = {
    "ECE": "ece",
    "ECE\ncalibr.": "calibrated/ece",
    "Brier": "brier",
    "AURC": "aurc_softmax",
    "Abstains": "abstained",
    "Errors\nkept": "risk_kept",
    "Truth\nin set": "set_coverage",
    "Classes\nin set": "set_size",
}
SAME = {"balanced_accuracy": "Balanced\naccuracy", "auroc": "AUC-ROC", "accuracy": "Accuracy"}
EFFECTIVE = {"MEC": "mec", "MEC of a\nconstant 1": "mec_constant", "AUC of\nbeing right": "confidence_auroc"}
STRATA = {"0.9 and above": "high", "0.75 to 0.9": "medium", "below 0.75": "low"}


def summary(
    metrics: Metrics, part: str = "test", *, further: Sequence[str] = (), added: Mapping[str, Any] | None = None
) -> Group:
    """All tables, one under the other.

    Args:
        metrics: the content of `metrics.json`, or some subsets of it.
        part: `test` or `val`, the prefix of the metric names.
        further: metrics that the recipe adds.
        added: the content of `modalities.json`: cases as they are available, and all subsets on the same patients.
    """
    blocks = added or {}
    available = {AS_AVAILABLE: blocks["as_available"]} if "as_available" in blocks else {}
    tables = [metrics_table({**metrics, **available}, part)]
    if same := blocks.get("same_patients"):
        tables.append(same_patients_table(same, part))
    tables += [further_table(metrics, further, part)] if further else []
    return Group(*tables, strata_table(metrics, part), trust_table(metrics, part))


def left_out_note(metrics: Metrics, shown: Sequence[str]) -> str:
    """Says which subsets are not in the tables; empty where all are."""
    left = [name for name in metrics if name not in shown]
    if not left:
        return ""
    return (
        f"Not shown: {', '.join(left)}, which the model was never trained to be given; metrics.json has them, and "
        "--all-subsets brings them."
    )


def metrics_table(metrics: Metrics, part: str = "test") -> Table:
    """One row per subset of modalities, narrow enough for 80 columns.

    Args:
        metrics: the content of `metrics.json`.
        part: `test` or `val`, the prefix of the metric names.
    """
    table = _table(f"{part} metrics by what the model was given (range: 95 % interval over patients)", "Given")
    for heading in ("Cases\n(patients)", "Balanced\naccuracy", *COLUMNS):
        table.add_column(heading, justify="right")
    for subset, values in metrics.items():
        table.add_row(
            subset,
            f"{_count(values.get('n_cases'))} ({_count(values.get('n_patients'))})",
            _balanced_accuracy(values, part),
            *(_share(values.get(f"{part}/{name}")) for name in COLUMNS.values()),
        )
    return table


def same_patients_table(same: Mapping[str, Any], part: str = "test") -> Table:
    """Every combination on the cases that have all stains, then what one has over another, paired.

    Args:
        same: block `same_patients` of `modalities.json`.
        part: `test` or `val`, the prefix of the metric names.
    """
    table = _table(
        title := f"on the same {same['n_cases']} cases ({same['n_patients']} patients), which have all of it", "Given"
    )
    table.min_width = len(title)
    for heading in SAME.values():
        table.add_column(heading, justify="right")
    for subset, values in same["subsets"].items():
        table.add_row(subset, *(_share(values.get(f"{part}/{name}")) for name in SAME))
    pairs: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for one in same["differences"]:
        pairs.setdefault((one["subset"], one["baseline"]), {})[one["metric"]] = one
    for (more, less), found in pairs.items():
        table.add_row(f"{more} less {less}", *(_difference(found.get(name, {})) for name in SAME))
    return table


def further_table(metrics: Metrics, names: Sequence[str], part: str = "test") -> Table:
    """The metrics that a recipe adds to ours, per subset; the first table is as wide as a terminal without them.

    Args:
        metrics: the content of `metrics.json`.
        names: of these metrics.
        part: `test` or `val`, the prefix of the metric names.
    """
    table = _table(title := f"{part} metrics that the recipe adds", "Given")
    table.min_width = len(title)
    for name in names:
        table.add_column(name, justify="right")
    for subset, values in metrics.items():
        table.add_row(subset, *(_share(values.get(f"{part}/{name}")) for name in names))
    return table


def strata_table(metrics: Metrics, part: str = "test") -> Table:
    """Mean effective confidence, what a constant one scores, how confidence ranks errors, and its strata, per subset.

    Args:
        metrics: the content of `metrics.json`.
        part: `test` or `val`, the prefix of the metric names.
    """
    table = _table(f"{part} metrics by confidence (MEC: mean effective confidence)", "Given")
    for heading in (*EFFECTIVE, "Confidence", "Cases", "Accuracy", "AUC-ROC"):
        table.add_column(heading, justify="right")
    for subset, values in metrics.items():
        first = [subset, *(_share(values.get(f"{part}/{name}")) for name in EFFECTIVE.values())]
        for label, name in STRATA.items():
            cells = {key: values.get(f"{part}/confidence_{name}/{key}") for key in ("n", "accuracy", "auroc")}
            table.add_row(*first, label, _count(cells["n"]), _share(cells["accuracy"]), _share(cells["auroc"]))
            first = [""] * len(first)
    return table


def trust_table(metrics: Metrics, part: str = "test") -> Table:
    """Calibration errors, and what became of sets and abstentions that were chosen on the validation part, per subset.

    Args:
        metrics: the content of `metrics.json`.
        part: `test` or `val`, the prefix of the metric names.
    """
    table = _table(f"{part} calibration, abstention and sets (chosen on validation)", "Given")
    for heading in TRUST:
        table.add_column(heading, justify="right")
    for subset, values in metrics.items():
        table.add_row(subset, *(_share(values.get(f"{part}/{name}")) for name in TRUST.values()))
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    table.add_column(first)
    return table


def _balanced_accuracy(values: Mapping[str, float | None], part: str) -> str:
    name = f"{part}/balanced_accuracy"
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    known = low is not None and high is not None and not isnan(low) and not isnan(high)
    return _share(values.get(name)) + (f"\n{low:.2f}-{high:.2f}" if known else "")


def _difference(one: Mapping[str, Any]) -> str:
    if one.get("difference") is None:
        return "-"
    limits = "" if one["low"] is None else f"\n{one['low']:+.2f} to {one['high']:+.2f}"
    return f"{one['difference']:+.3f}{limits}"


def _share(value: float | None) -> str:
    return "-" if value is None or isnan(value) else f"{value:.3f}"


def _count(value: float | None) -> str:
    return "-" if value is None or isnan(value) else f"{value:.0f}"
