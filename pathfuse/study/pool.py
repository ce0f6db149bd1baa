"""Runs in worker processes of this machine. A worker that is killed costs its run and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from pathfuse.study.jobs import Job
from pathfuse.study.ledger import RunState
from pathfuse.study.worker import serve
from pathfuse.system.main_guard import require_main_guard


class Worker:
    """A process that does one run at a time.

    Args:
        threads: of torch in it.
        devices: GPUs that it may see; None leaves that to the environment.
    """

    def __init__(self, threads: int, devices: str | None) -> None:
        # Spawned, because a process that has started threads or CUDA cannot be forked; not a daemon, because data
        # loaders of a run have processes of their own.
        require_main_guard()
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=serve, args=(theirs, threads, devices))
        self.process.start()
        theirs.close()
        self.devices = devices
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        """Starts a run."""
        self.job = job
        try:
            self.pipe.send(job)
        except OSError:
            pass  # it is dead; `take` says so

    def take(self) -> RunState | None:
        """The state of the run that has ended; None if the process has."""
        try:
            state: RunState = self.pipe.recv()
        except (EOFError, OSError):
            return None
        self.job = None
        return state

    def end(self) -> int | None:
        """Ends the process, at once if it is at work, and returns its exit status."""
        self.pipe.close()
        if self.job is not None:
            # A run is made to be killed: it goes on from its last finished epoch.
            self.process.kill()
        self.process.join()
        return self.process.exitcode


def run_locally(
    jobs: Sequence[Job], *, workers: int, threads: int, devices: Sequence[str | None]
) -> Iterator[tuple[Job, RunState]]:
    """Does runs side by side; yields each with its state as it ends.

    Args:
        jobs: the runs.
        workers: at a time.
        threads: of torch in each.
        devices: what the workers may see, in turn.
    """
    waiting = list(reversed(jobs))
    free = [devices[number % len(devices)] for number in range(min(workers, len(jobs)))]
    at_work: dict[Connection, Worker] = {}

    def start(worker: Worker) -> None:
        worker.give(waiting.pop())
        at_work[worker.pipe] = worker

    try:
        for own in free:
            start(Worker(threads, own))
        while at_work:
            for pipe in wait(list(at_work)):
                worker = at_work.pop(pipe)  # type: ignore[call-overload]
                job, state = worker.job, worker.take()
                if state is None:
                    worker.pipe.close()
                    worker.process.join()
                    status = worker.process.exitcode
                    state = RunState.of(job, "failed", None, f"its process ended with exit status {status}")
                    if waiting:
                        worker = Worker(threads, worker.devices)
                if waiting:
                    start(worker)
                elif worker.process.is_alive():
                    worker.end()
                yield job, state
    finally:
        for worker in at_work.values():
            worker.end()
