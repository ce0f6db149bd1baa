"""Progress of the runs of a study while they train, read from their folders once in a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pathfuse.runs.files import PROGRESS
from pathfuse.study.jobs import Job
from pathfuse.system.reading import read_json

EVERY_S = 1.0


@contextmanager
def watching(jobs: Sequence[Job], say: Callable[[str], None]) -> Iterator[None]:
    """Within the block, `say` is told what the runs at work are doing, from their first batch on.

    Args:
        jobs: the runs.
        say: takes one line, such as `he_only fold 0: train, epoch 1 of 20, batch 3 of 12`.
    """
    done = threading.Event()

    def look() -> None:
        last = ""
        while not done.wait(EVERY_S):
            said = "; ".join(filter(None, (doing(job.name, job.folder) for job in jobs)))
            if said and said != last:
                say(said)
                last = said

    thread = threading.Thread(target=look, daemon=True, name="pathfuse-watch")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def doing(name: str, folder: Path) -> str:
    """What a run is doing; empty where it does not train."""
    try:
        at = read_json(folder / PROGRESS)
        return f"{name}: {at['stage']}, epoch {at['epoch']} of {at['epochs']}, batch {at['batch']} of {at['batches']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
