"""Runs as tasks of a Ray cluster that is there; every machine sees the study's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pathfuse.ray_cluster import connected
from pathfuse.study.jobs import Job
from pathfuse.study.ledger import RunState
from pathfuse.study.worker import do_job


def run_on_ray(
    jobs: Sequence[Job], *, address: str | None, workers: int | None, threads: int, gpus: float
) -> Iterator[tuple[Job, RunState]]:
    """Does runs wherever the cluster has room; yields each with its state as it ends.

    Args:
        jobs: the runs.
        address: of the cluster; None takes RAY_ADDRESS, or starts Ray here.
        workers: runs at a time, where Ray is started here.
        threads: cores of each run.
        gpus: GPUs of each run; 0.25 puts four on one.
    """
    cpus = None if workers is None else workers * threads
    with connected(address, cpus=cpus, say=print) as ray:
        environment = {"env_vars": {"OMP_NUM_THREADS": str(threads)}}
        # A task is not tried again by itself: its failure is recorded, and the same line of the study goes on with it.
        task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0, runtime_env=environment)(do_job)
        running = {task.remote(job): job for job in jobs}
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            job = running.pop(done)
            try:
                state = ray.get(done)
            except (ray.exceptions.RayError, OSError) as error:
                reason = " ".join(str(error).split())[:300]
                state = RunState.of(job, "failed", None, f"{type(error).__name__}: {reason}")
            yield job, state
