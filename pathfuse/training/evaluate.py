"""Test and predict with the last stage of a run, and write what came out."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from pathfuse.data.contracts import CaseData
from pathfuse.errors import RunError
from pathfuse.evaluate.metrics import classification_metrics
from pathfuse.evaluate.table import metrics_table
from pathfuse.files import write_text
from pathfuse.training.plan import Plan, load_weights
from pathfuse.training.predictions import Predictions, write_predictions
from pathfuse.training.run_folder import RunFolder
from pathfuse.training.task import Task

Metrics = dict[str, dict[str, float]]


def trained_task(plan: Plan, run: RunFolder) -> Task:
    """The last stage's task with the weights that were selected on the validation part."""
    name = plan.last
    task = plan.task_of(name, lambda reference: plan.untrained(reference, name))
    load_weights(task, run.selected(name))
    return task


def test_model(plan: Plan, run: RunFolder, out: Path, console: Console) -> Metrics:
    """Tests the selected weights on the test part and writes `metrics.json` and `predictions.csv` to `out`."""
    data, task = plan.data_of(plan.last), trained_task(plan, run)
    trainer = plan.stages[plan.last].make_trainer([], str(out))
    trainer.test(task, datamodule=data, verbose=False)
    metrics = subset_metrics(task)
    if trainer.is_global_zero:
        write_text(out / "metrics.json", json.dumps(metrics, indent=2, allow_nan=True) + "\n")
        _write_predictions(out, task, data)
        if metrics:
            console.print(metrics_table(metrics, task.spec.classes))
        else:
            console.print("no labelled case in the test part: nothing was tested", highlight=False)
    return metrics


def predict(plan: Plan, run: RunFolder, out: Path, console: Console) -> None:
    """Predicts every case of the data and writes `predictions.csv` to `out`."""
    data, task = plan.data_of(plan.last), trained_task(plan, run)
    trainer = plan.stages[plan.last].make_trainer([], str(out))
    trainer.predict(task, datamodule=data, return_predictions=False)
    if not task.collected:
        needs = ", ".join(task.given or task.model.reads)
        raise RunError(f"no case has a stain that this model reads ({needs}). Check the data root or case table.")
    if trainer.is_global_zero:
        _write_predictions(out, task, data)
        count = sum(len(rows) for rows in task.collected.values())
        console.print(f"{count} cases predicted: {out / 'predictions.csv'}", highlight=False, soft_wrap=True)


def subset_metrics(task: Task) -> Metrics:
    """The content of `metrics.json`: metrics and counts for every combination of stains that cases have."""
    result: Metrics = {}
    for subset, collected in task.collected.items():
        rows = collected.labelled()
        if len(rows):
            metrics = classification_metrics(rows.probabilities, rows.target, rows.confidence, task.spec.classes)
            result[subset] = {f"test/{name}": value for name, value in metrics.items()} | _counts(rows)
    return result


def _counts(rows: Predictions) -> dict[str, float]:
    return {"n_cases": len(rows), "n_patients": len(set(rows.patient_ids))}


def _write_predictions(out: Path, task: Task, data: CaseData) -> None:
    parts = {row.case_id: row.split for row in data.split_table()}
    write_predictions(out / "predictions.csv", task.collected, task.spec.classes, parts)
