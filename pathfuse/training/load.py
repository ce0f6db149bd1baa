"""A trained run as a plain module."""

from __future__ import annotations

from pathlib import Path

from pathfuse.core import Model
from pathfuse.recipes import compose
from pathfuse.runs.folder import RunFolder
from pathfuse.training.evaluate import trained_task
from pathfuse.training.plan import Plan


def load(run: str | Path) -> Model:
    """The model of a run's last stage, with the weights that were selected on the validation part.

    `model(batch)` predicts; `Batch.of_images(model.spec, {"he": images})` makes a batch from what is at hand. No data
    is needed, and nothing but installed components is imported.

    Args:
        run: the run folder.

    Raises:
        RunError: if it holds no run, or none that is trained.
        RecipeError, PluginError: if its recipe names components that are not installed or not trusted.
    """
    folder = RunFolder.open(Path(run))
    plan = run_plan(folder, [])
    plan.specs.update(folder.specs())
    return trained_task(plan, folder.selected(plan.last)).model.eval().requires_grad_(False)


def run_plan(folder: RunFolder, options: list[tuple[str, str]]) -> Plan:
    """The parsed recipe of a run, with overrides."""
    return Plan.parse(compose([folder.config_file], [], options))
