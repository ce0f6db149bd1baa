"""`pathfuse fit`: train every stage that is not complete, then test the last one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import yaml
from rich.console import Console

from pathfuse.cohort.folds.near_notes import near_notes
from pathfuse.cohort.split_rows import SplitRow
from pathfuse.errors import RecipeError, RunError
from pathfuse.inference.plan import load_weights
from pathfuse.inference.predict import trained_task
from pathfuse.inference.speaking import print_note
from pathfuse.inference.task import Task
from pathfuse.inference.versions import recipe_hash, write_versions
from pathfuse.recipes import Recipe
from pathfuse.registry import recording
from pathfuse.runs.extend import extend, extended_stages, flat
from pathfuse.runs.files import CONFIG, PROGRESS, SPLITS
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.trainer import only_trainer
from pathfuse.system.machine import machine_faults
from pathfuse.training.calibrate import calibrate
from pathfuse.training.callbacks import Curves, EpochLines, NamesSplit, ProgressFile
from pathfuse.training.evaluate import test_cases
from pathfuse.training.lightning_data import LightningData
from pathfuse.training.loggers.build import check_loggers, log_recipe, log_test, run_loggers
from pathfuse.training.plan import TrainingPlan
from pathfuse.training.processes.launched import RUN_VARIABLE, announce, forget, launch, made_by_first, named
from pathfuse.training.processes.stopping import HeedsSignals, heeding_signals, is_lost, resumable, stopped, was_stopped
from pathfuse.training.reported.for_report import report_run
from pathfuse.training.speaking import is_first_rank
from pathfuse.training.steady.finite import StopsAtNonFinite
from pathfuse.training.steady.refused import REFUSALS, refusal
from pathfuse.training.steady.selection import LOSS, Criterion, checkpoints


class _Kept(NamedTuple):
    """What a stage has come to: the epoch that is handed on, what selected it, and its files as they were written."""

    epoch: int | None
    by: str | None
    written: Mapping[Path, str]


@recording()  # which readers and stores the data need is known when they are opened
@heeding_signals()
def fit(
    recipe: Recipe,
    out: Path | None,
    resume: Path | None,
    console: Console,
    *,
    all_subsets: bool = False,
    extends: bool = True,
) -> RunFolder:
    """Trains a recipe and tests it.

    Args:
        recipe: the composed recipe; with `resume`, the run's own.
        out: a new run folder; None makes `runs/<recipe>/<time>`.
        resume: the folder of a run to go on with.
        console: where progress and the table go.
        all_subsets: show also the combinations of stains that the model was never trained to be given.
        extends: whether a resumed run may be trained for more epochs than before; the runs of a study may not.

    Raises:
        RecipeError, RunError, CaseTableError: before anything is trained or written.
        Interrupted: after Ctrl-C; what is finished is kept.
    """
    if launch() is not None:
        named(resume or out)
    folder = resume or out or new_folder(recipe.name)
    if resume is not None:
        RunFolder.open(resume)
    with only_trainer(folder) if is_first_rank() else nullcontext():
        return _fit(
            recipe, folder if resume is None else None, resume, console, all_subsets=all_subsets, extends=extends
        )


def _fit(
    recipe: Recipe, out: Path | None, resume: Path | None, console: Console, *, all_subsets: bool, extends: bool
) -> RunFolder:
    """As `fit`, in a folder that is held."""
    if not is_first_rank():
        console = Console(quiet=True)
    plan = TrainingPlan.parse(recipe)
    for stage in plan.stages.values():
        stage.refuse_reaching_out()
    for note in recipe.notes:
        print_note(note, console)
    check_loggers(plan.stages[plan.last].loggers)
    check_everything_fits(plan)
    if resume is None:
        for name in plan.stages:
            plan.check_loss_terms(name)
    try:
        run = open_run(plan, out, resume, extends=extends)
        with resumable(run.path):
            _train_and_test(plan, run, console, all_subsets=all_subsets)
        if is_first_rank():
            forget(run.path)
    finally:
        os.environ.pop(RUN_VARIABLE, None)
    console.print(f"run folder: {run.path}", highlight=False, soft_wrap=True)
    return run


def _train_and_test(plan: TrainingPlan, run: RunFolder, console: Console, *, all_subsets: bool) -> None:
    cohort = plan.data_of(plan.last).cohort
    # The demo patients are drawn, and no two of them are one.
    near = near_notes(list(cohort), cohort.cache_folder) if cohort.cases is not None and is_first_rank() else []
    for note in (*plan.data_of(plan.last).notes(), *near):
        print_note(note, console)
    spec = plan.data_of(plan.last).spec()
    never = [name for name, count in zip(spec.classes, spec.class_counts, strict=True) if not count]
    if never and plan.stages[plan.last].needs_labels:
        print_note(f"The training part has no case of {', '.join(never)}, which cannot be learnt.", console)
    to_do = stages_to_train(run, list(plan.stages))
    for name in plan.stages:
        if name in to_do:
            kept = train_stage(plan, name, run, console)
            if is_first_rank():
                # As written, and not as they lie there by now: what took their place meanwhile is noticed.
                run.seal_checkpoints(name, kept.written)
                run.mark_complete(name, kept.epoch, kept.by)
    (run.path / PROGRESS).unlink(missing_ok=True)
    checkpoint = run.selected(plan.last)
    task = trained_task(plan, checkpoint)
    calibrate(plan, task, run, console)
    test_cases(plan, checkpoint, run, console, task=task, all_subsets=all_subsets)
    if is_first_rank():
        log_test(run_loggers(plan.stages[plan.last].loggers, run, plan.last), run.metrics)
        report_run(plan, run, console, all_subsets=all_subsets)


def stages_to_train(run: RunFolder, stages: Sequence[str]) -> set[str]:
    """The stages that are not complete, and complete ones whose checkpoint is gone and is needed.

    Args:
        run: the run.
        stages: all of them, in order. The last one's weights are needed, and those of any before one to be trained.
    """
    found: set[str] = set()
    for name in reversed(stages):
        needed = name == stages[-1] or bool(found)
        if name not in run.complete() or (needed and not run.has_weights(name)):
            found.add(name)
    return found


def check_everything_fits(plan: TrainingPlan) -> None:
    """Reads the data and builds every stage once, so that a mistake in the last stage shows before the first trains."""
    for name in plan.stages:
        plan.data_of(name)
        task = plan.task_of(name)
        try:
            plan.stages[name].in_lightning(task).configure_optimizers()
        except (TypeError, ValueError, RuntimeError) as error:
            raise RecipeError(f"stage {name}: optimizer or lr_scheduler cannot be built: {error}") from error
        plan.stages[name].make_trainer([], os.curdir)


def open_run(plan: TrainingPlan, out: Path | None, resume: Path | None, *, extends: bool = True) -> RunFolder:
    """The folder to train in: a new one, or the one to resume if recipe and data are still the same."""
    if RUN_VARIABLE in os.environ and "LOCAL_RANK" in os.environ:
        return RunFolder(Path(os.environ[RUN_VARIABLE]))  # Lightning started this process
    if launch() is not None and not is_first_rank():
        return RunFolder(made_by_first(named(resume or out)))
    config = plan.config()
    data = plan.data_of(plan.last)
    if resume is not None:
        run = RunFolder.open(resume)
        if run.versions.get("cases_sha256") != data.fingerprint():
            raise RunError(f"{resume} was made with other cases, labels or parts. Restore them, or use another --out.")
        if run.versions.get("recipe_sha256") != recipe_hash(run.config):
            raise RunError(f"{resume} was made with another recipe: its {CONFIG} was edited. Restore it.")
        if more := extended_stages(run, config, allowed=extends):
            extend(run, yaml.safe_dump(config, sort_keys=False), recipe_hash(config), more)
        announce(run.path)
        return run
    folder = out or new_folder(plan.recipe.name)
    run = RunFolder.create(folder, trains=True)
    layers = f"# layers: {', '.join(plan.recipe.layers)}\n" if plan.recipe.layers else ""
    run.write_specs(plan.specs)
    run.write_lines(SPLITS, SplitRow._fields, data.split_table())
    write_versions(run, config, data, plan.task_of(plan.last))
    # Written last: a folder with a config is a whole run.
    run.write(CONFIG, f"# {plan.recipe.name}, resolved\n{layers}" + yaml.safe_dump(config, sort_keys=False))
    announce(run.path)
    return run


def new_folder(recipe: str) -> Path:
    """`runs/<recipe>/<time>`, numbered where several runs of a recipe begin in one second."""
    time = Path("runs") / recipe / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = [time, *(time.with_name(f"{time.name}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists())


def train_stage(plan: TrainingPlan, name: str, run: RunFolder, console: Console) -> _Kept:
    """Trains one stage to its end, from its last finished epoch if there is one."""
    data = plan.data_of(name)
    task = plan.fill(name, run)
    held_out = [row for row in data.split_table() if row.split == "val"]
    criterion = (
        _criterion(task, last=name == plan.last, labelled=any(row.label for row in held_out)) if held_out else None
    )
    if criterion is None:
        print_note(f"nothing to select {name} on in the validation part: its last epoch is taken", console)
    kept = checkpoints(run.checkpoints(name), criterion or Criterion(None))
    loggers = run_loggers(plan.stages[name].loggers, run, name) if is_first_rank() else []
    log_recipe(loggers, flat(run.config))
    lines = EpochLines(name, console, None if criterion is None else criterion.monitor)
    watch = StopsAtNonFinite(run, name, tests=name == plan.last)
    trainer = plan.stages[name].make_trainer(
        [HeedsSignals(), watch, *kept, Curves(run, name), lines, NamesSplit(data), ProgressFile(run, name)],
        str(run.path),
        validates=bool(held_out),
        loggers=loggers,
    )
    module = plan.stages[name].in_lightning(task)
    unfinished = run.unfinished(name)
    if unfinished is not None:
        # Says in one line what Lightning, which reads the file again, says in a traceback.
        load_weights(task, unfinished)
    try:
        with machine_faults(f"Then go on: pathfuse fit --resume {run.path}"):
            trainer.fit(module, datamodule=LightningData(data), ckpt_path=unfinished, weights_only=True)
    except (SystemExit, KeyboardInterrupt) as error:
        # Lightning answers Ctrl-C by shutting down and leaving the process; the last finished epoch is on disk.
        raise stopped(run.path, f" in stage {name}") from error
    except (*REFUSALS, KeyError) as error:
        if was_stopped() or (isinstance(error, RuntimeError) and is_lost(error)):
            raise
        if unfinished is not None and not lines.began:
            raise RunError(f"{unfinished} cannot be continued ({error}). Train again with another --out.") from error
        if (line := refusal(error)) is None:
            raise
        raise RecipeError(f"stage {name}: {line} Correct the recipe and choose another --out.") from error
    if run.unfinished(name) is None and is_first_rank():
        raise RecipeError(
            f"stage {name} has trained no epoch, so there is nothing to test. Look at trainer.max_epochs, "
            "trainer.limit_train_batches and trainer.fast_dev_run, and choose another --out."
        )
    return _Kept(kept[0].kept_epoch, kept[0].monitor, getattr(trainer.strategy.checkpoint_io, "digests", {}))


def _criterion(task: Task, *, last: bool, labelled: bool) -> Criterion | None:
    """What selects the epoch: what the objective says, or else a metric in the last stage and the loss in others."""
    own = task.objective.selected_by
    if own is not None:
        return Criterion(f"val/{own}", higher=True)
    if last:
        return Criterion(task.selected_by, task.measures.higher) if labelled else None
    return Criterion(LOSS)
