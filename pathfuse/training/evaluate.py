"""Validating and testing with the last stage of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pathfuse.evaluate.availability import write_availability
from pathfuse.evaluate.calibrate.calibrator import Calibrator
from pathfuse.evaluate.calibrate.diagrams import Measured, write_reliability, write_risk_coverage
from pathfuse.evaluate.calibrate.file import Calibrators
from pathfuse.evaluate.calibrate.metrics import equivocal_metrics, promise_metrics, trust_metrics
from pathfuse.evaluate.metrics.resampling import balanced_accuracy_interval
from pathfuse.evaluate.table import left_out_note, summary
from pathfuse.inference.asked.new_cases import check_cases
from pathfuse.inference.predict import trained_task, write_tables
from pathfuse.inference.predictions import Predictions
from pathfuse.inference.task import Task
from pathfuse.inference.versions import seal_results
from pathfuse.registry import recording
from pathfuse.runs.files import METRICS, MODALITIES
from pathfuse.runs.folder import RunFolder
from pathfuse.training.lightning_data import LightningData
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.steady.refused import refusing

Metrics = dict[str, dict[str, float]]


def validate_cases(plan: TrainingPlan, checkpoint: Path, out: RunFolder, console: Console) -> None:
    """Prints loss and metrics of the validation part; writes nothing."""
    data, task = plan.data_of(plan.last), trained_task(plan, checkpoint)
    stage = plan.stages[plan.last]
    trainer = stage.make_trainer([], str(out.path))
    with refusing(plan.last):
        trainer.validate(stage.in_lightning(task), datamodule=LightningData(data), verbose=False)
    for name, value in sorted(trainer.callback_metrics.items()):
        console.print(f"{name}  {float(value):.4f}", highlight=False)


@recording()  # which readers and stores the data need is known when they are opened
def test_cases(
    plan: TrainingPlan,
    checkpoint: Path,
    out: RunFolder,
    console: Console,
    *,
    task: Task | None = None,
    all_subsets: bool = False,
) -> None:
    """Tests on the test part; writes numbers, predictions and points of diagrams to `out` and prints the table.

    Args:
        plan: the recipe.
        checkpoint: the weights.
        out: where results are written.
        console: where the table goes.
        task: one that holds these weights already; None builds one and reads them.
        all_subsets: show also the combinations of stains that the model was never trained to be given.
    """
    data, task = plan.data_of(plan.last), task or trained_task(plan, checkpoint)
    check_cases(data, task.spec)
    stage = plan.stages[plan.last]
    trainer = stage.make_trainer([], str(out.path))
    with refusing(plan.last):
        trainer.test(stage.in_lightning(task), datamodule=LightningData(data), verbose=False)
    if not trainer.is_global_zero:
        return
    calibration = Calibrators.of_checkpoint(checkpoint, task.spec.classes)
    metrics = subset_metrics(task, calibration)
    out.write_json(METRICS, _as_json(metrics))
    _write_diagrams(out, task, calibration)
    write_tables(out, task, data, calibration)
    seal_results(out, checkpoint, data, plan.config())
    if metrics:
        cases = {subset: rows.scored({}) for subset, rows in task.collected.items() if len(rows.labelled())}
        write_availability(out, cases, task.spec.classes)
        print_tables(out, metrics, task.measures.keys, console, all_subsets=all_subsets)
    else:
        console.print("no labelled case in the test part: there is nothing to measure", highlight=False)


def print_tables(
    out: RunFolder, metrics: Metrics, further: Sequence[str], console: Console, *, all_subsets: bool = False
) -> None:
    """Prints the tables that close a test.

    Args:
        out: what the test wrote.
        metrics: of every combination of stains.
        further: names of the metrics that the recipe adds.
        console: where they go.
        all_subsets: show also the combinations of stains that the model was never trained to be given.
    """
    wanted = list(metrics) if all_subsets else out.shown.trained(metrics)
    console.print(summary({name: metrics[name] for name in wanted}, further=further, added=out.json(MODALITIES)))
    if note := left_out_note(metrics, wanted):
        console.print(note, highlight=False, soft_wrap=True)


def subset_metrics(task: Task, calibration: Calibrators | None = None) -> Metrics:
    """The content of `metrics.json`: metrics and counts for every combination of stains that cases have."""
    result: Metrics = {}
    classes = task.spec.classes
    for subset, collected in task.collected.items():
        rows = collected.labelled()
        if len(rows):
            metrics = task.measures.in_test(rows.probabilities, rows.target, rows.confidence)
            interval = balanced_accuracy_interval(rows.probabilities, rows.target, rows.patient_ids)
            metrics |= {"balanced_accuracy_low": interval.low, "balanced_accuracy_high": interval.high}
            calibrator = None if calibration is None else calibration.of(subset)
            measured = measure(rows, calibrator)
            metrics |= trust_metrics(measured) | equivocal_metrics(measured, classes)
            if calibrator is not None:
                metrics |= promise_metrics(measured, calibrator, rows.patient_ids, classes)
            metrics |= task.measures.beside_ours(rows.probabilities, rows.target, rows.confidence)
            result[subset] = {f"test/{name}": value for name, value in metrics.items()} | _counts(rows)
    return result


def measure(rows: Predictions, calibrator: Calibrator | None) -> Measured:
    """Labelled cases as arrays, before and after calibration."""
    own = rows.scored({}).rows
    learned = None if rows.confidence is None else own.confidence
    return Measured(own.prob, own.target, learned, None if calibrator is None else calibrator(own.prob, learned))


def _counts(rows: Predictions) -> dict[str, float]:
    return {"n_cases": len(rows), "n_patients": len(set(rows.patient_ids))}


def _as_json(metrics: Metrics) -> dict[str, dict[str, float | None]]:
    # JSON has no NaN; a metric that is not defined (a class is absent) is null.
    return {
        subset: {key: None if math.isnan(value) else value for key, value in own.items()}
        for subset, own in metrics.items()
    }


def _write_diagrams(out: RunFolder, task: Task, calibration: Calibrators | None) -> None:
    labelled = {subset: rows.labelled() for subset, rows in task.collected.items()}
    measured = {
        subset: measure(rows, None if calibration is None else calibration.of(subset))
        for subset, rows in labelled.items()
        if len(rows)
    }
    write_reliability(out, measured, task.spec.classes)
    write_risk_coverage(out, measured)
