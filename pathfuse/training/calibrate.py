"""Calibration at the end of a fit: what a prediction may promise, chosen on the validation part."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pathfuse.evaluate.calibrate.file import FEWEST, Calibrators
from pathfuse.inference.speaking import print_note
from pathfuse.inference.task import Task
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions
from pathfuse.training.lightning_data import LightningData
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.steady.refused import refusing


def calibrate(plan: TrainingPlan, task: Task, run: RunFolder, console: Console) -> Calibrators | None:
    """Fits temperature, abstention and prediction sets on the validation part and writes `calibration.json`.

    Args:
        plan: the recipe.
        task: its last stage, with the weights that were selected.
        run: its folder, with all stages trained.
        console: where a note goes if there is nothing to calibrate on.

    Returns:
        What was written; None if nothing was, and on every rank but the first.
    """
    data = plan.data_of(plan.last)
    patients = {row.patient_id for row in data.split_table() if row.split == "val" and row.label}
    if len(patients) < FEWEST:
        print_note(
            f"the validation part has labelled cases of {len(patients)} patients; from {FEWEST} on probabilities are "
            "calibrated, and there are prediction sets and abstentions",
            console,
        )
        return None
    stage = plan.stages[plan.last]
    trainer = stage.make_trainer([], str(run.path))
    # As a test, so that every subset of stains is predicted; the cases are those of validation.
    with refusing(plan.last):
        trainer.test(stage.in_lightning(task), datamodule=LightningData(data, tests="val"), verbose=False)
    if not trainer.is_global_zero:
        return None
    subsets = _as_trained(task, {row.case_id: row.split for row in data.split_table()})
    if not subsets:
        print_note(
            "no validation case has the stains that the model was trained to be given, so nothing is calibrated",
            console,
        )
        return None
    made = _fitted(task, subsets, run.selected(plan.last), console)
    made.write(run)
    if made.pooled.calibrator.abstention.validation_coverage == 0:
        print_note(
            f"no confidence on the validation part leaves {task.target_risk:.0%} errors or fewer, so predictions "
            "abstain from every case; another limit is --model.target_risk",
            console,
        )
    return made


def _fitted(task: Task, subsets: dict[str, SubsetPredictions], checkpoint: Path, console: Console) -> Calibrators:
    confidence = task.abstain_by
    if confidence != "softmax" and not all(own.learned for own in subsets.values()):
        print_note(f"this head learns no confidence: it abstains by softmax, not by {confidence}", console)
        confidence = "softmax"
    return Calibrators.fit(
        subsets,
        task.spec.classes,
        f"{checkpoint.parent.name}/{checkpoint.name}",
        target_risk=task.target_risk,
        miss=round(1 - task.set_coverage, 9),  # 1 - 0.9 is 0.1 to a reader
        confidence=confidence,
    )


def _as_trained(task: Task, parts: dict[str, str]) -> dict[str, SubsetPredictions]:
    """Labelled cases by subset; a model makes no promise about stains that it was not trained to be given."""
    given = set(task.given or task.model.reads)
    labelled = {name: rows.labelled() for name, rows in task.collected.items() if set(name.split("+")) <= given}
    return {name: rows.scored(parts) for name, rows in labelled.items() if len(rows)}
