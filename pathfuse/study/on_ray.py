"""Runs as tasks of a Ray cluster that is there; every machine sees the study's folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pathfuse.errors import RunError
from pathfuse.study.jobs import Job
from pathfuse.study.ledger import RunState
from pathfuse.study.worker import do_job
from pathfuse.system.ray_cluster import connected


@dataclass(frozen=True)
class Share:
    """What a run has of its machine.

    Attributes:
        threads: of torch.
        cores: that Ray keeps for it.
    """

    threads: int
    cores: int


@dataclass(frozen=True)
class Start:
    """Where a study was started, which every machine has to agree with.

    Attributes:
        folder: the working folder, which relative paths begin in.
        version: of pathfuse.
    """

    folder: Path
    version: str


def run_on_ray(
    jobs: Sequence[Job], *, address: str | None, at_a_time: int | None, threads: int | None, gpus: float
) -> Iterator[tuple[Job, RunState]]:
    """Does runs wherever the cluster has room; yields each with its state as it ends.

    Args:
        jobs: the runs.
        address: of the cluster; None takes RAY_ADDRESS, or starts Ray here.
        at_a_time: runs side by side on a machine; None takes as many as its GPUs hold, or one.
        threads: of each run; None shares out the cores of the smallest machine.
        gpus: GPUs of each run; 0.25 puts four on one.

    Raises:
        RunError: if no machine of the cluster has room for a run.
    """
    start = Start(Path.cwd(), version("pathfuse"))
    with connected(address, say=print) as ray:
        machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
        share = share_of(machines, at_a_time=at_a_time, threads=threads, gpus=gpus)
        environment = {"env_vars": {"OMP_NUM_THREADS": str(share.threads)}}
        # A task is not tried again by itself: its failure is recorded, and the same line of the study goes on with it.
        options = {"num_cpus": share.cores, "num_gpus": gpus, "max_retries": 0, "runtime_env": environment}
        task = ray.remote(**options)(do_there)
        running = {task.remote(job, start): job for job in jobs}
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            job = running.pop(done)
            try:
                state = ray.get(done)
            except (ray.exceptions.RayError, OSError) as error:
                reason = " ".join(str(error).split())[:300]
                state = RunState.of(job, "failed", None, f"{type(error).__name__}: {reason}")
            yield job, state


def share_of(
    machines: Sequence[Mapping[str, float]], *, at_a_time: int | None, threads: int | None, gpus: float
) -> Share:
    """What every run gets: the same everywhere, since results depend on the number of threads.

    Args:
        machines: what every machine of the cluster has of `CPU` and `GPU`.
        at_a_time: runs side by side on a machine; None takes as many as its GPUs hold, or one.
        threads: of each run; None shares out the cores of the smallest machine.
        gpus: GPUs of each run.

    Raises:
        RunError: if no machine has room for a run.
    """
    fitting = [own for own in machines if own.get("CPU", 0) >= 1 and own.get("GPU", 0) >= gpus]
    if not fitting:
        wanted = f"a core and {gpus:g} GPU" if gpus else "a core"
        raise RunError(f"no machine of this Ray cluster has {wanted} for a run. Give a smaller --gpus, or add one.")
    smallest = min(int(own["CPU"]) // (at_a_time or (_places(own["GPU"], gpus) if gpus else 1)) for own in fitting)
    part = max(1, smallest)
    if at_a_time:
        return Share(threads or part, part)
    # More threads than any machine has cores is a wish like another; Ray would wait forever for such a machine.
    return Share(threads or part, min(threads or part, int(max(own["CPU"] for own in fitting))))


def do_there(job: Job, start: Start) -> RunState:
    """Does one run on this machine of the cluster, if it is like the one where the study was started."""
    problem = _problem(job, start)
    if problem:
        return RunState.of(job, "failed", None, problem)
    os.chdir(start.folder)
    return do_job(job)


def _problem(job: Job, start: Start) -> str | None:
    here, own = platform.node(), version("pathfuse")
    if own != start.version:
        return f"{here} has pathfuse {own}, and the study was started by {start.version}. Install the same on both."
    if not start.folder.is_dir():
        return f"{here} has no folder {start.folder}. Start the study in a folder that every machine shares."
    if job.splits is not None and not (start.folder / job.splits).is_file():
        return f"{here} does not see {job.splits.parent}. Choose an --out that every machine shares."
    return None


def _places(there: float, gpus: float) -> int:
    """Runs that the GPUs of a machine hold; a part of a GPU is not put together from two."""
    return int(there) * int(1 / gpus + 1e-9) if gpus < 1 else int(there // gpus)
