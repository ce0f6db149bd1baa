"""Names of metrics and stains as a reader knows them, for tables, charts and sentences."""

from __future__ import annotations

METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "weighted_precision": "Weighted precision",
    "weighted_recall": "Weighted recall",
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro F1",
    "mcc": "MCC",
    "kappa_quadratic": "Quadratic kappa",
    "auroc": "AUC-ROC",
    "auroc_weighted": "AUC-ROC, weighted",
    "auprc": "PR-AUC",
    "mec": "Mean effective confidence",
    "mec_constant": "Mean effective confidence of a constant 1",
    "ece": "Calibration error",
    "ece_adaptive": "Adaptive calibration error",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "abstained": "Share left to a person",
    "set_coverage": "Truth inside the set",
    "set_size": "Classes per set",
    "steps": "Optimiser steps",
    "steps_before": "Optimiser steps of stages before",
    "n_cases": "Cases",
    "n_patients": "Patients",
}
STAINS = {"he": "H&E", "ihc": "IHC"}
AS_AVAILABLE = "as available"


def metric_name(key: str) -> str:
    """A metric as `metrics.json` or a study calls it, in words: `test/auroc/2+` is `AUC-ROC of 2+`."""
    if key.startswith("curve:"):
        _, stage, column = (*key.split(":", 2), "")[:3]
        part, _, name = column.rpartition("/")
        return f"{metric_name(name)}, {PARTS.get(part, part or 'training')}, stage {stage}"
    if key.startswith("explain:"):
        return f"{key.removeprefix('explain:').replace('.', ', ').replace('_', ' ').capitalize()}, of maps"
    key = key.removeprefix("test/")
    if key.startswith("calibrated/"):
        return f"{metric_name(key.removeprefix('calibrated/'))}, calibrated"
    name, _, label = key.partition("/")
    own = METRICS.get(name) or name.replace("_", " ").capitalize()
    return f"{own} of {label.replace('_', ' ')}" if label else own


PARTS = {"train": "training", "val": "validation"}


def in_sentence(name: str) -> str:
    """A name within a sentence: `balanced accuracy`, but `AUC-ROC`."""
    return name if name[1:2].isupper() or name.startswith("Brier") else name[:1].lower() + name[1:]


def stain_name(key: str) -> str:
    """A stain in words: `he` is `H&E`."""
    return STAINS.get(key, key)


def given_name(subset: str) -> str:
    """A combination of modalities in words: `he+ihc` is `H&E and IHC`; what is none stays as it is."""
    if " " in subset:
        return subset
    names = [stain_name(name) for name in subset.split("+")]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def from_given(subset: str) -> str:
    """The same with what a sentence begins by: `H&E alone`, `H&E and IHC together`."""
    if subset == AS_AVAILABLE:
        return "the stains that each case has"
    return f"{given_name(subset)} {'together' if '+' in subset else 'alone'}"
