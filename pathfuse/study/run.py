"""A study from its file to its report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pathfuse.errors import RecipeError
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.study import Study
from pathfuse.study.folds import SPLITS, keep_splits, make_splits, near_across_parts, places_of
from pathfuse.study.jobs import Job, Prepared, jobs_of, shard_of
from pathfuse.study.ledger import RUNS, RunState, is_finished, record
from pathfuse.study.prepare import prepare_variants
from pathfuse.study.watch import watching

Engine = Literal["local", "ray"]
WHOLE_STUDY_S = 1e9  # the time left is estimated from all runs, which may take hours each


@dataclass(frozen=True)
class HowToRun:
    """Where and how many runs at a time.

    Attributes:
        jobs: runs side by side on a machine.
        engine: `local` or `ray`.
        address: of a Ray cluster.
        gpus: GPUs per run, with Ray.
        shard: `i/n`, every n-th run from the i-th on.
        dry_run: say what would be done, and do nothing.
    """

    jobs: int = 1
    engine: Engine = "local"
    address: str | None = None
    gpus: float = 0.0
    shard: str | None = None
    dry_run: bool = False

    @property
    def said_threads(self) -> int | None:
        """What OMP_NUM_THREADS says, if it says a number."""
        said = os.environ.get("OMP_NUM_THREADS", "")
        return int(said) if said.isdecimal() and int(said) else None

    @property
    def threads(self) -> int:
        """Threads of each run on this machine: what OMP_NUM_THREADS says, else its share of the cores."""
        return self.said_threads or max(1, _cores() // self.jobs)


def run_study(study: Study, out: Path, how: HowToRun, console: Console, *, layers: Sequence[str] = ()) -> int:
    """Does what is not done yet, then writes the report.

    Args:
        study: the study.
        out: its folder.
        how: where the runs are done.
        console: where progress and the tables go.
        layers: layers for the recipes.

    Returns:
        The exit status: 1 if a run has failed.

    Raises:
        PathfuseError: before anything is trained, if a recipe, the cohort or the folds cannot be used.
    """
    found = prepare_variants(study, layers)
    folds = make_splits(study, found.cases)
    for note in (*found.notes, *(folds.notes if folds else ()), *near_across_parts(found, folds)):
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    jobs = jobs_of(study, found.prepared, places_of(study, folds, (out / SPLITS).resolve(), found.cohorts), out=out)
    mine = shard_of(jobs, how.shard) if how.shard else jobs
    if how.dry_run:
        _print_plan(study, found.prepared, mine, console)
        return 0
    if folds:
        keep_splits(out, folds)
    states = _do(mine, out, how, console)
    _print_outcome(study, out, jobs, mine, states, console)
    # A shard is a part; whichever ends last reports on the whole.
    if not how.shard or all(is_finished(job) for job in jobs):
        from pathfuse.study.report import write_report

        write_report(study, out, jobs, console)
    return 1 if any(state.status == "failed" for state in states.values()) else 0


def _do(jobs: Sequence[Job], out: Path, how: HowToRun, console: Console) -> dict[Job, RunState]:
    states = {}
    waiting = []
    for job in jobs:
        # Found here, so that a study that is finished starts no process.
        if is_finished(job):
            states[job] = RunState.of(job, "skipped")
            record(out, states[job])
        else:
            waiting.append(job)
    if not waiting:
        return states
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with (
        Progress(*columns, console=console, transient=True, speed_estimate_period=WHOLE_STUDY_S) as bar,
        ExitStack() as stack,
    ):
        task = bar.add_task("runs", total=len(waiting))
        stack.enter_context(watching(waiting, lambda said: _show(bar, task, console, said)))
        for job, state in _runs(waiting, how):
            states[job] = state
            record(out, state)
            bar.advance(task)
            said = f": {state.reason}" if state.reason else ""
            took = f"  {state.seconds} s" if state.seconds else ""
            console.print(f"{job.name}  {state.status}{took}{said}", highlight=False, soft_wrap=True)
    return states


def _show(bar: Progress, task: TaskID, console: Console, said: str) -> None:
    """What runs are doing: beside the bar on a terminal, else one line when the first of them trains."""
    if not console.is_terminal and bar.tasks[0].description == "runs":
        console.print(f"training has begun: {said}", highlight=False, soft_wrap=True)
    bar.update(task, description=f"runs ({said})")


def _runs(jobs: Sequence[Job], how: HowToRun) -> Iterator[tuple[Job, RunState]]:
    if how.engine == "ray":
        from pathfuse.study.on_ray import run_on_ray

        at_a_time = how.jobs if how.jobs > 1 else None
        return run_on_ray(jobs, address=how.address, at_a_time=at_a_time, threads=how.said_threads, gpus=how.gpus)
    from pathfuse.study.pool import run_locally

    return run_locally(jobs, workers=how.jobs, threads=how.threads, devices=_devices())


def _devices() -> list[str | None]:
    """What each worker may see: one GPU each, in turn, where there are several."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return [*names] if len(names) > 1 else [None]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_plan(study: Study, prepared: Mapping[str, Prepared], jobs: Sequence[Job], console: Console) -> None:
    for name, variant in prepared.items():
        recipes = " ".join(path.stem for path in variant.recipes)
        options = " ".join(f"--{key}={value}" for key, value in variant.options)
        layers = f" layers {', '.join(variant.layers)};" if variant.layers else ""
        console.print(f"{name}: {recipes};{layers} {options}", highlight=False, soft_wrap=True, markup=False)
    for job in jobs:
        state = "done" if is_finished(job) else "begun" if RunFolder(job.folder).begun else "to do"
        console.print(f"{job.name}  {state}", highlight=False)
    console.print(f"{study.name}: {len(jobs)} runs; nothing was done (--dry-run)", highlight=False)


def _print_outcome(
    study: Study, out: Path, jobs: Sequence[Job], mine: Sequence[Job], states: dict[Job, RunState], console: Console
) -> None:
    counts = Counter(state.status for state in states.values())
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    console.print(f"{study.name}: {len(mine)} runs: {said} ({out / RUNS})", highlight=False, soft_wrap=True)
    missing = [job for job in jobs if not is_finished(job)]
    if missing:
        console.print(
            f"{len(missing)} of {len(jobs)} runs are not finished, first {missing[0].name}. The same line goes on with "
            "them.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def check_how(how: HowToRun) -> None:
    """Refuses numbers that cannot be, and what another engine is for.

    Raises:
        RecipeError: naming the option.
    """
    if how.jobs < 1:
        raise RecipeError(f"--jobs {how.jobs}: expected a whole number from 1 on.")
    if how.engine not in ("local", "ray"):
        raise RecipeError(f"--engine {how.engine} is unknown; write local or ray.")
    if not (0 <= how.gpus <= 1 or (how.gpus > 1 and how.gpus.is_integer())):
        raise RecipeError(f"--gpus {how.gpus:g}: expected a share of one GPU, from 0 to 1, or a whole number of them.")
    if how.engine == "local" and (how.gpus or how.address):
        raise RecipeError(f"--{'gpus' if how.gpus else 'address'} is for --engine ray only.")
