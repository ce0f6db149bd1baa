"""`pathfuse fit`: train every stage that is not complete, then test the last one."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import yaml
from rich.console import Console

from pathfuse.cohort.split_rows import SplitRow
from pathfuse.errors import RecipeError, RunError
from pathfuse.recipes import Recipe
from pathfuse.registry import recording
from pathfuse.runs.files import CONFIG, SPLITS
from pathfuse.runs.folder import RunFolder
from pathfuse.training.calibrate import calibrate
from pathfuse.training.callbacks import Curves, EpochLines, NamesSplit, checkpoints
from pathfuse.training.evaluate import test_cases, trained_task
from pathfuse.training.finite import StopsAtNonFinite
from pathfuse.training.for_report import report_run
from pathfuse.training.plan import Plan, load_weights
from pathfuse.training.speaking import is_first_rank, print_note
from pathfuse.training.versions import recipe_hash, write_versions

# Lightning starts one more process per device with the same command line; they must not make another folder.
RUN_VARIABLE = "PATHFUSE_RUN"


class Interrupted(KeyboardInterrupt):
    """Training was stopped by the user; the run can be resumed."""


@recording()  # which readers and stores the data need is known when they are opened
def fit(
    recipe: Recipe, out: Path | None, resume: Path | None, console: Console, *, all_subsets: bool = False
) -> RunFolder:
    """Trains a recipe and tests it.

    Args:
        recipe: the composed recipe; with `resume`, the run's own.
        out: a new run folder; None makes `runs/<recipe>/<time>`.
        resume: the folder of a run to go on with.
        console: where progress and the table go.
        all_subsets: show also the combinations of stains that the model was never trained to be given.

    Raises:
        RecipeError, RunError, CaseTableError: before anything is trained or written.
        Interrupted: after Ctrl-C; what is finished is kept.
    """
    if not is_first_rank():
        console = Console(quiet=True)
    plan = Plan.parse(recipe)
    for note in recipe.notes:
        print_note(note, console)
    check_everything_fits(plan)
    run = open_run(plan, out, resume)
    for note in plan.data_of(plan.last).notes():
        print_note(note, console)
    for name in plan.stages:
        if name not in run.complete():
            train_stage(plan, name, run, console)
            if is_first_rank():
                run.mark_complete(name)
    checkpoint = run.selected(plan.last)
    task = trained_task(plan, checkpoint)
    calibrate(plan, task, run, console)
    test_cases(plan, checkpoint, run, console, task=task, all_subsets=all_subsets)
    if is_first_rank():
        report_run(plan, run, console, all_subsets=all_subsets)
    console.print(f"run folder: {run.path}", highlight=False, soft_wrap=True)
    return run


def check_everything_fits(plan: Plan) -> None:
    """Reads the data and builds every stage once, so that a mistake in the last stage shows before the first trains."""
    for name in plan.stages:
        plan.data_of(name)
        task = plan.task_of(name)
        try:
            task.configure_optimizers()
        except (TypeError, ValueError) as error:
            raise RecipeError(f"stage {name}: optimizer or lr_scheduler cannot be built: {error}") from error
        plan.stages[name].make_trainer([], os.curdir)


def open_run(plan: Plan, out: Path | None, resume: Path | None) -> RunFolder:
    """The folder to train in: a new one, or the one to resume if recipe and data are still the same."""
    config = plan.config()
    data = plan.data_of(plan.last)
    if resume is not None:
        run = RunFolder.open(resume)
        before = run.versions
        if before.get("recipe_sha256") != recipe_hash(config):
            raise RunError(f"{resume} was made with another recipe: {first_difference(run, plan)}. Use another --out.")
        if before.get("cases_sha256") != data.fingerprint():
            raise RunError(f"{resume} was made with other cases, labels or parts. Restore them, or use another --out.")
        return run
    if RUN_VARIABLE in os.environ and "LOCAL_RANK" in os.environ:
        return RunFolder(Path(os.environ[RUN_VARIABLE]))
    folder = out or new_folder(plan.recipe.name)
    run = RunFolder.create(folder)
    os.environ[RUN_VARIABLE] = str(run.path)
    layers = f"# layers: {', '.join(plan.recipe.layers)}\n" if plan.recipe.layers else ""
    run.write_specs(plan.specs)
    run.write_lines(SPLITS, SplitRow._fields, data.split_table())
    write_versions(run, config, data, plan.task_of(plan.last))
    # Written last: a folder with a config is a whole run.
    run.write(CONFIG, f"# {plan.recipe.name}, resolved\n{layers}" + yaml.safe_dump(config, sort_keys=False))
    return run


def new_folder(recipe: str) -> Path:
    """`runs/<recipe>/<time>`, numbered where several runs of a recipe begin in one second."""
    time = Path("runs") / recipe / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = [time, *(time.with_name(f"{time.name}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists())


def first_difference(run: RunFolder, plan: Plan) -> str:
    """The first key at which a saved recipe differs from a plan."""
    saved, now = flat(run.config), flat(plan.config())
    for key in [*saved, *now]:
        if saved.get(key) != now.get(key):
            return f"{key} was {saved.get(key)!r} and is {now.get(key)!r}"
    return "the files differ"


def flat(config: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, with dotted keys."""
    if not isinstance(config, dict):
        return {prefix: config}
    return {
        key: value
        for name, inner in config.items()
        for key, value in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def train_stage(plan: Plan, name: str, run: RunFolder, console: Console) -> None:
    """Trains one stage to its end, from its last finished epoch if there is one."""
    data = plan.data_of(name)
    task = plan.fill(name, run)
    last = name == plan.last
    held_out = [row for row in data.split_table() if row.split == "val"]
    can_select = any(row.label or not last for row in held_out)
    monitor = (task.selected_by if last else "val/loss") if can_select else None
    if monitor is None:
        print_note(f"nothing to select {name} on in the validation part: its last epoch is taken", console)
    kept = checkpoints(run.checkpoints(name), monitor, higher=last and task.measures.higher)
    lines = EpochLines(name, console, monitor)
    trainer = plan.stages[name].make_trainer(
        [StopsAtNonFinite(run, name, tests=last), *kept, Curves(run, name), lines, NamesSplit(data)],
        str(run.path),
        validates=bool(held_out),
    )
    unfinished = run.unfinished(name)
    if unfinished is not None:
        # Says in one line what Lightning, which reads the file again, says in a traceback.
        load_weights(task, unfinished)
    try:
        trainer.fit(task, datamodule=data, ckpt_path=unfinished, weights_only=True)
    except (SystemExit, KeyboardInterrupt) as error:
        # Lightning answers Ctrl-C by shutting down and leaving the process; the last finished epoch is on disk.
        raise Interrupted(f"stopped in stage {name}. Continue with: pathfuse fit --resume {run.path}") from error
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if unfinished is None or lines.began:
            raise
        raise RunError(f"{unfinished} cannot be continued ({error}). Train again with another --out.") from error
