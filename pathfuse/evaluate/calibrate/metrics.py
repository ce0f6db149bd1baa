"""Metrics of probabilities, confidences, sets and abstentions, by the names that `metrics.json` uses."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np

from pathfuse.evaluate.calibrate.abstention import Mask, abstention_metrics, confidences, risk_coverage
from pathfuse.evaluate.calibrate.calibrator import Calibrator
from pathfuse.evaluate.calibrate.conformal import measured_coverage
from pathfuse.evaluate.calibrate.diagrams import Measured
from pathfuse.evaluate.her2 import EQUIVOCAL, equivocal_report, in_order
from pathfuse.evaluate.metrics.ranking import correctness_auroc
from pathfuse.evaluate.metrics.standard import calibration_metrics
from pathfuse.runs.rows import Index, Values


def trust_metrics(measured: Measured) -> dict[str, float]:
    """Calibration errors, and the area under the risk-coverage curve of every confidence that the model has."""
    return {
        **calibration_metrics(measured.prob, measured.target),
        **abstention_metrics(measured.prob, measured.learned, measured.target),
        **correctness_metrics(measured.prob, measured.learned, measured.target),
    }


def promise_metrics(
    measured: Measured, calibrator: Calibrator, patients: Sequence[str], classes: Sequence[str]
) -> dict[str, float]:
    """What became on these cases of that which was chosen on validation; nothing without a calibration.

    Args:
        measured: labelled cases.
        calibrator: what was chosen.
        patients: the patient of every case.
        classes: class names.
    """
    made, target = measured.calibrated, measured.target
    if made is None:
        return {}
    wrong = (made.prob.argmax(1) != target).astype(np.float64)
    errors = calibration_metrics(made.prob, target)
    sets = measured_coverage(made.sets, target, patients)
    return {
        "temperature": calibrator.temperature.value,
        **{f"calibrated/{name}": value for name, value in errors.items()},
        "calibrated/aurc": risk_coverage(made.confidence, wrong).aurc,
        "calibrated/mec": _mean(np.where(wrong > 0, -made.sure, made.sure)),
        "calibrated/confidence_mean": _mean(made.sure),
        "abstained": _mean(made.abstain),
        "risk_kept": _mean(wrong[~made.abstain]),
        "risk_abstained": _mean(wrong[made.abstain]),
        "set_coverage": sets.covered,
        "set_coverage_low": sets.interval.low,
        "set_coverage_high": sets.interval.high,
        **{f"set_coverage/{name}": value for name, value in zip(classes, sets.by_class, strict=True)},
        "set_size": sets.size,
    }


def equivocal_metrics(measured: Measured, classes: Sequence[str]) -> dict[str, float]:
    """What the model makes of the equivocal 2+; nothing where the classes are not HER2 scores up to 3+."""
    if not in_order(classes) or not {EQUIVOCAL, "3+"} <= set(classes):
        return {}
    found = equivocal_report(measured.prob, measured.target, classes)
    return {
        "equivocal/n": found.n,
        **{f"equivocal/called/{name}": count for name, count in found.called.items()},
        "equivocal/predicted": found.predicted,
        **{f"equivocal/are/{name}": count for name, count in found.are.items()},
        "equivocal/sensitivity": found.sensitivity,
        "equivocal/precision": found.precision,
        "equivocal/far": found.far,
    }


def correctness_metrics(prob: Values, learned: Values | None, target: Index) -> dict[str, float]:
    """The area under the ROC curve of every confidence, for being right; a half knows nothing of it."""
    right = prob.argmax(1) == target
    return {
        f"confidence_auroc_{kind}": correctness_auroc(own, right) for kind, own in confidences(prob, learned).items()
    }


def _mean(values: Values | Mask) -> float:
    return float(values.mean()) if len(values) else nan
