"""Figures that the objectives of a run give single test cases, as a table, and pictures of one case per class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pathfuse.core import Batch, Objective
from pathfuse.explain.overlay import Picture, colours, enlarged, write_png
from pathfuse.inference.plan import Plan
from pathfuse.inference.task import Task
from pathfuse.runs.files import BY_CASE, PANELS
from pathfuse.runs.folder import RunFolder

COLUMNS = ("case_id", "patient_id", "target")


def write_by_case(plan: Plan, run: RunFolder) -> None:
    """Writes `by_case/<stage>.csv` and `panels/<stage>.csv` with its pictures, for stages that say something.

    Args:
        plan: what was trained.
        run: its folder, with the weights that were selected.
    """
    for stage in plan.stages:
        objective = plan.task_of(stage).objective
        if type(objective).by_case is not Objective.by_case:
            task = plan.fill(stage, run)
            plan.select(task, stage, run)
            _write_stage(plan, stage, task, run)


def _write_stage(plan: Plan, stage: str, task: Task, run: RunFolder) -> None:
    names: dict[str, None] = {}
    rows: list[tuple[list[str], dict[str, float]]] = []
    shown: dict[str, tuple[str, dict[str, str]]] = {}
    classes = task.spec.classes
    for batch in _test_batches(plan, stage):
        found = {name: values.tolist() for name, values in task.objective.by_case(task.model, batch).items()}
        names |= dict.fromkeys(found)
        said = [classes[target] if target >= 0 else "" for target in batch.target.tolist()]
        for row, case in enumerate(batch.case_ids):
            rows.append(([case, batch.patient_ids[row], said[row]], {name: own[row] for name, own in found.items()}))
        wanted = [row for row, name in enumerate(said) if name not in shown and said.index(name) == row]
        if wanted:
            few = batch.select(torch.tensor(wanted))
            for row, files in enumerate(_drawn(task, few, run.path / PANELS / stage, len(shown))):
                shown[said[wanted[row]]] = few.case_ids[row], files
    if rows:
        lines = ([*who, *(_cell(own.get(name)) for name in names)] for who, own in rows)
        run.write_lines(f"{BY_CASE}/{stage}.csv", [*COLUMNS, *names], lines)
        _write_shown(run, stage, {name: shown[name] for name in (*classes, "") if name in shown})


def _test_batches(plan: Plan, stage: str) -> Iterator[Batch]:
    data = plan.data_of(stage)
    data.prepare_data()
    model = plan.task_of(stage).eval().model
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    for batch in data.test_dataloader():
        yield batch.to(device)


def _drawn(task: Task, batch: Batch, folder: Path, first: int) -> list[dict[str, str]]:
    """The pictures of a few cases; returns per case the file of every kind."""
    files: list[dict[str, str]] = [{} for _ in batch.case_ids]
    for column, (name, values) in enumerate(task.objective.pictures(task.model, batch).items()):
        for row, picture in enumerate(values):
            if bool(picture.isnan().any()):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            files[row][name] = f"{first + row:02d}_{column}.png"
            write_png(folder / files[row][name], _pixels(picture))
    return files


def _pixels(picture: Tensor) -> Picture:
    """A picture (3, H, W) as it is; a map (1, H, W) in the colours of maps, from its least to its highest value."""
    values = picture.detach().float().cpu().movedim(0, 2).numpy()
    if values.shape[2] == 1:
        span = max(float(values.max() - values.min()), 1e-6)
        values = colours((values[..., 0] - values.min()) / span)
    return np.asarray((enlarged(values.clip(0, 1)) * 255).round(), dtype=np.uint8)


def _write_shown(run: RunFolder, stage: str, shown: dict[str, tuple[str, dict[str, str]]]) -> None:
    kinds = list(dict.fromkeys(name for _, files in shown.values() for name in files))
    lines = ([name, case, *(files.get(kind, "") for kind in kinds)] for name, (case, files) in shown.items())
    if kinds:
        run.write_lines(f"{PANELS}/{stage}.csv", ["target", "case_id", *kinds], lines)


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6f}"
