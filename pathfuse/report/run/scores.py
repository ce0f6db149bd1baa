"""Metrics of a run with their intervals, by what the model was given and by its confidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pathfuse.evaluate.metrics.resampling import bootstrap, observed, percentile_interval, statistic
from pathfuse.evaluate.metrics.standard import metric_named
from pathfuse.report.page import Column, Raw, Record, Section, Table, Text
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions

DRAWS = 1000
SHOWN = {
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUC-ROC",
    "auprc": "PR-AUC",
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "mcc": "MCC",
    "kappa_quadratic": "Quadratic kappa",
}
STRATA = {"high": "0.9 and above", "medium": "0.75 to 0.9", "low": "below 0.75"}
EFFECTIVE = {
    "mec": "MEC",
    "calibrated/mec": "MEC, calibrated",
    "mec_constant": "MEC of a constant 1",
    "accuracy": "Accuracy",
    "confidence_mean": "Mean confidence",
    "calibrated/confidence_mean": "Mean confidence, calibrated",
    "confidence_auroc": "AUC for being right",
    "confidence_auroc_softmax": "AUC for being right, highest probability",
}
REACH = (
    "MEC reaches at most the accuracy, with a confidence of 1 where the prediction is right and 0 where it is wrong; "
    "one that cannot tell the two apart (an AUC of 0.5) reaches the larger of 0 and 2 accuracy - 1."
)
TOLERANCE = 5e-4
Limits = dict[str, tuple[float, float]]
Metrics = Mapping[str, float | None]


def metrics_section(run: RunFolder) -> Section:
    """One row per subset of stains, with intervals; and one per class."""
    classes = run.predictions.classes
    per_class = [f"{metric}/{name}" for name in classes for metric in ("auroc", "auprc")]
    records: list[Record] = []
    by_class: list[Record] = []
    for subset, own in run.test_cases.items():
        metrics = run.metrics.get(subset, {})
        limits = intervals(own, metrics, [*SHOWN, *per_class], classes)
        # An interval that the run has written already is the one to show.
        for name in SHOWN:
            low, high = metrics.get(f"test/{name}_low"), metrics.get(f"test/{name}_high")
            if low is not None and high is not None:
                limits[name] = low, high
        patients = len(set(own.patient_ids))
        sizes: dict[str, Raw] = {"given": subset, "n_cases": len(own.case_ids), "n_patients": patients}
        records.append({**sizes, **_with_limits(SHOWN, metrics, limits)})
        for index, name in enumerate(classes):
            here = own.rows.target == index
            record: dict[str, Raw] = {"class": name, "given": subset, "n_cases": int(here.sum())}
            record |= {"sensitivity": float((own.rows.predicted[here] == index).mean()) if here.any() else None}
            record |= {"specificity": float((own.rows.predicted[~here] != index).mean()) if (~here).any() else None}
            for metric in ("auroc", "auprc"):
                found = _with_limits([f"{metric}/{name}"], metrics, limits)
                record |= {key.replace(f"/{name}", ""): value for key, value in found.items()}
            by_class.append(record)
    heads = [Column("given", "Given"), Column("n_cases", "Cases", "count"), Column("n_patients", "Patients", "count")]
    class_heads = [Column("class", "Class"), Column("given", "Given"), Column("n_cases", "Cases", "count")]
    class_heads += [Column("sensitivity", "Sensitivity", "share"), Column("specificity", "Specificity", "share")]
    return Section(
        "metrics",
        "Metrics",
        [
            Text([
                f"In brackets: 95 % intervals, percentiles of {DRAWS} cohorts of patients drawn with replacement. "
                "Given: the stains that the model was shown; every combination that the test cases have.",
            ]),
            Table(
                "values",
                "Test metrics by what was given",
                [*heads, *(Column(key, head, "share", interval=True) for key, head in SHOWN.items())],
                records,
            ),
            Table(
                "classes",
                "One class against the rest",
                [*class_heads, *(Column(key, SHOWN[key], "share", interval=True) for key in ("auroc", "auprc"))],
                by_class,
            ),
        ],
    )  # fmt: skip


def intervals(own: SubsetPredictions, metrics: Metrics, names: Sequence[str], classes: tuple[str, ...]) -> Limits:
    """The interval of every metric over patients.

    There is none for a single patient, and none where `predictions.csv` does not give the metric that the run measured,
    for example because somebody rounded it: a ranking of probabilities that differ in the tenth digit is lost then.
    """
    if len(set(own.patient_ids)) < 2:
        return {}
    owner = np.unique(np.asarray(own.patient_ids, dtype=str), return_inverse=True)[1].astype(np.int64)
    scorers = {name: statistic(metric_named(name, classes), [own.rows]) for name in names}
    drawn = bootstrap(scorers, owner, draws=DRAWS, seed=0)
    measured = {name: metrics.get(f"test/{name}") for name in names}
    return {
        name: percentile_interval(drawn[name])
        for name, value in measured.items()
        if value is not None and abs(observed(scorers[name], len(owner)) - value) < TOLERANCE
    }


def strata_section(run: RunFolder) -> Section:
    """How good the predictions are that the model is sure of."""
    records = []
    for subset in run.test_cases:
        metrics = run.metrics.get(subset, {})
        for name, title in STRATA.items():
            place = f"test/confidence_{name}"
            records.append(
                {"given": subset, "confidence": title}
                | {"n_cases": metrics.get(f"{place}/n")}
                | {key: metrics.get(f"{place}/{key}") for key in ("accuracy", "auroc")}
            )
    overall = [
        {"given": subset, **{name: own.get(f"test/{name}") for name in EFFECTIVE}}
        for subset, own in run.metrics.items()
        if subset in run.test_cases
    ]
    columns = [Column("given", "Given"), Column("confidence", "Confidence"), Column("n_cases", "Cases", "count")]
    columns += [Column("accuracy", "Accuracy", "share"), Column("auroc", "AUC-ROC", "share")]
    effective = [Column("given", "Given")]
    effective += [Column(name, head, "signed" if "mec" in name else "share") for name, head in EFFECTIVE.items()]
    return Section(
        "strata",
        "Confidence",
        [
            Table("strata", "Test metrics by confidence", columns, records),
            Table("mec", "Mean effective confidence (MEC)", effective, overall),
            Text([REACH]),
        ],
    )  # fmt: skip


def _with_limits(names: Iterable[str], metrics: Metrics, limits: Limits) -> dict[str, float | None]:
    result: dict[str, float | None] = {}
    for name in names:
        low, high = limits.get(name, (None, None))
        result |= {name: metrics.get(f"test/{name}"), f"{name}_low": low, f"{name}_high": high}
    return result
