"""Predicting cases with the last stage of a plan, in one process and without Lightning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console

from pathfuse.core import weights_follow
from pathfuse.data.contract import CaseData
from pathfuse.errors import RunError
from pathfuse.inference.asked.new_cases import check_cases
from pathfuse.inference.computing import Computing
from pathfuse.inference.plan import Plan, load_weights
from pathfuse.inference.predictions import write_columns, write_predictions
from pathfuse.inference.task import Task
from pathfuse.inference.versions import seal_results
from pathfuse.recipes import compose
from pathfuse.registry import recording
from pathfuse.runs.files import PREDICTIONS
from pathfuse.runs.folder import RunFolder

if TYPE_CHECKING:  # with scipy, which whoever explains does not need
    from pathfuse.evaluate.calibrate.file import Calibrators


def run_plan(run: RunFolder) -> Plan:
    """The parsed recipe of a run, with the sizes that it was built for."""
    plan = Plan.parse(compose([run.config_file], [], []))
    plan.specs.update(run.specs())
    return plan


def trained_task(plan: Plan, checkpoint: Path) -> Task:
    """The last stage's task with the weights of a checkpoint."""
    # The checkpoint holds every weight, those of earlier stages too, so nothing pretrained is fetched.
    with weights_follow():
        task = plan.task_of(plan.last)
    load_weights(task, checkpoint)
    return task


def predict(task: Task, data: CaseData, computing: Computing) -> None:
    """Predicts every case of the data; the predictions are in `task.collected`, and the weights where they were.

    Args:
        task: trained.
        data: the cases.
        computing: on which device, and how exactly.
    """
    device = computing.device()
    before = next((weight.device for weight in task.parameters()), torch.device("cpu"))
    data.prepare_data()
    task.forget()
    task.to(device).eval()
    try:
        with torch.inference_mode(), computing.autocast(device):
            for batch in data.predict_dataloader():
                task.predict_given(batch.to(device))
    finally:
        task.to(before)


@recording()  # which readers and stores the data need is known when they are opened
def predict_cases(plan: Plan, checkpoint: Path, out: RunFolder, console: Console) -> None:
    """Predicts every case of the data and writes `predictions.csv` to `out`."""
    from pathfuse.evaluate.calibrate.file import Calibrators

    data, task = plan.data_of(plan.last), trained_task(plan, checkpoint)
    check_cases(data, task.spec)
    predict(task, data, plan.stages[plan.last].computing)
    if not task.collected:
        needs = ", ".join(task.given or task.model.reads)
        raise RunError(f"no case has a stain that this model reads ({needs}). Check cohort.cases.")
    write_tables(out, task, data, Calibrators.of_checkpoint(checkpoint, task.spec.classes))
    seal_results(out, checkpoint, data, plan.config())
    count = sum(len(rows) for rows in task.collected.values())
    console.print(f"{count} cases predicted: {out.path / PREDICTIONS}", highlight=False, soft_wrap=True)


def write_tables(out: RunFolder, task: Task, data: CaseData, calibration: Calibrators | None) -> None:
    """Writes what a task has predicted, `predictions.csv`, and what the cohort says of these cases, `columns.csv`."""
    parts = {row.case_id: row.split for row in data.split_table()}
    write_predictions(out, task.collected, task.spec.classes, parts, calibration)
    predicted = {case for rows in task.collected.values() for case in rows.case_ids}
    write_columns(out, data.cohort, predicted)
