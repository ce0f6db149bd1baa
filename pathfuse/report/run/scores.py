"""Metrics of a run with their intervals, by what the model was given and by its confidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pathfuse.evaluate.metrics.resampling import bootstrap, observed, percentile_interval, statistic
from pathfuse.evaluate.metrics.standard import metric_named
from pathfuse.evaluate.names import AS_AVAILABLE, METRICS, given_name
from pathfuse.report.page import FEWEST, GREYED, Block, Column, Raw, Record, Section, Table, Text
from pathfuse.report.reference import reference_rows
from pathfuse.report.run.further import further_table
from pathfuse.report.run.stains import available_cases, same_patients
from pathfuse.runs.files import MODALITIES
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions

DRAWS = 1000
KEYS = ("balanced_accuracy", "auroc", "auprc", "accuracy", "macro_f1", "mcc", "kappa_quadratic")
SHOWN = {key: METRICS[key] for key in KEYS}
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
READING = (
    f"In brackets: 95 % intervals, percentiles of {DRAWS} cohorts of patients drawn with replacement. Given: the "
    "stains that the model was shown."
)
Limits = dict[str, tuple[float, float]]
Metrics = Mapping[str, float | None]
Cases = Mapping[str, SubsetPredictions]


def metrics_section(run: RunFolder, cases: Cases) -> Section:
    """One row per subset of stains, with intervals and what chance scores; what a stain adds; and one row per class.

    Args:
        run: the run.
        cases: the test cases of the subsets that are shown.
    """
    classes = run.predictions.classes
    measured: dict[str, tuple[SubsetPredictions, Metrics]] = {
        subset: (own, run.metrics.get(subset, {})) for subset, own in cases.items()
    }
    if block := run.json(MODALITIES).get("as_available"):
        measured[AS_AVAILABLE] = (available_cases(run), block)
    limits = {
        subset: intervals(own, metrics, [*KEYS, *_per_class(classes)], classes)
        for subset, (own, metrics) in measured.items()
    }
    by_class = [
        row
        for subset, (own, metrics) in measured.items()
        if subset != AS_AVAILABLE
        for row in _by_class(subset, own, metrics, limits[subset], classes)
    ]
    blocks: list[Block] = [Text([READING, *_not_shown(run, cases)]), _values(measured, limits, classes, cases)]
    blocks += [block for block in (further_table(run, list(cases)),) if block is not None]
    blocks += same_patients(run)
    columns = [Column("class", "Class"), Column("given", "Given", "given"), Column("n_cases", "Cases", "count")]
    columns += [Column("sensitivity", "Sensitivity", "share"), Column("specificity", "Specificity", "share")]
    columns += [Column(key, SHOWN[key], "share", interval=True) for key in ("auroc", "auprc")]
    blocks.append(Table("classes", "One class against the rest", columns, by_class, faint=few(by_class, "n_cases")))
    if any(isinstance(block, Table) and block.faint for block in blocks):
        blocks.append(Text([GREYED]))
    return Section("metrics", "Metrics", blocks)


def few(records: Sequence[Record], key: str) -> list[int]:
    """Numbers of the records that stand on few cases."""
    return [row for row, one in enumerate(records) if isinstance(n := one.get(key), int | float) and n < FEWEST]


def _values(
    measured: Mapping[str, tuple[SubsetPredictions, Metrics]],
    limits: Mapping[str, Limits],
    classes: tuple[str, ...],
    cases: Cases,
) -> Table:
    records: list[Record] = []
    for subset, (own, metrics) in measured.items():
        sizes: dict[str, Raw] = {"given": subset, "n_cases": len(own.case_ids)}
        sizes |= {"n_patients": len(set(own.patient_ids)), "fewest": _fewest(own, classes)}
        # An interval that the run has written already is the one to show.
        written = {
            name: (low, high)
            for name in KEYS
            if (low := metrics.get(f"test/{name}_low")) is not None
            and (high := metrics.get(f"test/{name}_high")) is not None
        }
        records.append({**sizes, **_with_limits(KEYS, metrics, {**limits[subset], **written})})
    faint = few(records, "fewest")
    largest = max(cases.values(), key=lambda own: len(own.case_ids))
    blank: dict[str, Raw] = {key: None for key in ("n_cases", "n_patients", "fewest")}
    counts = np.bincount(largest.rows.target, minlength=len(classes)).tolist()
    for row in reference_rows(counts, classes, KEYS):
        records.append({**blank, **{f"{name}{end}": None for name in KEYS for end in ("_low", "_high")}, **row})
    heads = [
        Column("given", "Given", "given"),
        Column("n_cases", "Cases", "count"),
        Column("n_patients", "Patients", "count"),
    ]
    heads += [Column("fewest", "Of the rarest class", "count")]
    columns = [*heads, *(Column(key, head, "share", interval=True) for key, head in SHOWN.items())]
    return Table("values", "Test metrics by what was given", columns, records, faint=faint)


def _fewest(own: SubsetPredictions, classes: tuple[str, ...]) -> int:
    """Cases of the rarest class that occurs."""
    counts = np.bincount(own.rows.target, minlength=len(classes))
    return int(counts[counts > 0].min())


def _by_class(
    subset: str, own: SubsetPredictions, metrics: Metrics, limits: Limits, classes: tuple[str, ...]
) -> Iterable[Record]:
    for index, name in enumerate(classes):
        here = own.rows.target == index
        record: dict[str, Raw] = {"class": name, "given": subset, "n_cases": int(here.sum())}
        record |= {"sensitivity": float((own.rows.predicted[here] == index).mean()) if here.any() else None}
        record |= {"specificity": float((own.rows.predicted[~here] != index).mean()) if (~here).any() else None}
        for metric in ("auroc", "auprc"):
            found = _with_limits([f"{metric}/{name}"], metrics, limits)
            record |= {key.replace(f"/{name}", ""): value for key, value in found.items()}
        yield record


def _per_class(classes: tuple[str, ...]) -> list[str]:
    return [f"{metric}/{name}" for name in classes for metric in ("auroc", "auprc")]


def _not_shown(run: RunFolder, cases: Cases) -> list[str]:
    """Subsets that are left out, and those that stand here for want of others."""
    left = [name for name in run.test_cases if name not in cases]
    named = ", ".join(map(given_name, left))
    said = [f"Not shown: {named}, which the model was never trained to be given."] if left else []
    unknown = [given_name(name) for name in cases if not run.shown.knows(name)]
    if unknown:
        said.append(
            f"The model was never trained to be given {', '.join(unknown)}: these numbers say nothing about it."
        )
    return said


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


def strata_section(run: RunFolder, cases: Cases) -> Section:
    """How good the predictions are that the model is sure of."""
    records = []
    for subset in cases:
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
        if subset in cases
    ]
    columns = [
        Column("given", "Given", "given"),
        Column("confidence", "Confidence"),
        Column("n_cases", "Cases", "count"),
    ]
    columns += [Column("accuracy", "Accuracy", "share"), Column("auroc", "AUC-ROC", "share")]
    effective = [Column("given", "Given", "given")]
    effective += [Column(name, head, "signed" if "mec" in name else "share") for name, head in EFFECTIVE.items()]
    return Section(
        "strata",
        "Confidence",
        [
            Table("strata", "Test metrics by confidence", columns, records, faint=few(records, "n_cases")),
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
