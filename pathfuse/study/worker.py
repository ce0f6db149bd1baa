"""One run of a study, and the process that does one after the other. Torch is imported once, by the first run."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import traceback
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pathfuse.errors import PathfuseError
from pathfuse.runs.folder import RunFolder
from pathfuse.study.jobs import Job
from pathfuse.study.ledger import RunState, is_finished, lock_of, mark_finished

KILLED = 1


def serve(pipe: Connection, threads: int, devices: str | None) -> None:
    """Does the runs that come through the pipe until it is closed.

    Args:
        pipe: brings jobs, takes `RunState`.
        threads: of torch.
        devices: GPUs that the process may see; None leaves that to the environment.
    """
    # Ctrl-C reaches every process of a terminal; the one that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Before torch is imported, which reads them.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(do_job(job))


def do_job(job: Job) -> RunState:
    """Trains and tests one run, or goes on with it, or finds it finished; a failure is a state, not an exception."""
    began = time.monotonic()
    lock = lock_of(job)
    if not lock.acquire():
        return RunState.of(job, "busy")
    with lock:
        if is_finished(job):
            return RunState.of(job, "skipped")
        try:
            _fit(job)
        except PathfuseError as error:
            return RunState.of(job, "failed", time.monotonic() - began, str(error))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in one run, the others go on
            _log(job, traceback.format_exc())
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return RunState.of(job, "failed", time.monotonic() - began, f"{reason} ({log_of(job)})")
        mark_finished(job)
        return RunState.of(job, "done", time.monotonic() - began)


def log_of(job: Job) -> Path:
    """What a run printed."""
    return job.folder.parent / f"{job.folder.name}.log"


def _fit(job: Job) -> None:
    from rich.console import Console

    from pathfuse.recipes import compose
    from pathfuse.study.explaining import explain_finished
    from pathfuse.training.fit import fit
    from pathfuse.training.speaking import prepare_lightning

    prepare_lightning()
    begun = RunFolder(job.folder).begun
    if not begun and job.folder.is_dir():
        # Killed while the folder was made: its config is written last, so nothing was trained.
        shutil.rmtree(job.folder)
    recipe = compose(job.recipes, job.layers, job.options)
    with log_of(job).open("a", encoding="utf-8") as file:
        console = Console(file=file, width=120)
        fit(recipe, None if begun else job.folder, job.folder if begun else None, console, extends=False)
        if job.explain is not None and not job.explain.done(RunFolder(job.folder)):
            explain_finished(RunFolder(job.folder), job.explain, console)


def _log(job: Job, text: str) -> None:
    with log_of(job).open("a", encoding="utf-8") as file:
        file.write(text)


def _end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone, however it went: nobody would take the result."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(KILLED)
