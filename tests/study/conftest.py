"""Studies in this process: a process of its own would import torch for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import pathfuse.study.run
import pathfuse.training.fit
from pathfuse.cli import main
from pathfuse.study.jobs import Job
from pathfuse.study.ledger import RunState
from pathfuse.study.run import HowToRun
from pathfuse.study.worker import do_job
from tests.study.small import write_study

Call = Callable[..., int]


def runs_here(jobs: Sequence[Job], how: HowToRun) -> Iterator[tuple[Job, RunState]]:
    """Does runs one after another in this process."""
    return ((job, do_job(job)) for job in jobs)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are done in this process, and without the page that each run has: it takes longer than such a run."""

    monkeypatch.setattr(pathfuse.study.run, "_runs", runs_here)
    monkeypatch.setattr(pathfuse.training.fit, "report_run", lambda plan, run, console, **_: None)


@pytest.fixture
def study(tmp_path: Path, cases: Path) -> Path:
    """The file of a small study."""
    return write_study(tmp_path, cases)


@pytest.fixture
def done(call: Call, tmp_path: Path) -> Path:
    """The folder `out` of a study that is finished."""
    assert call("out") == 0
    return tmp_path / "out"


@pytest.fixture
def call(here: None, study: Path, tmp_path: Path) -> Call:
    """Calls `pathfuse study small_study.yaml --out OUT ...`."""

    def run(out: str, *words: str) -> int:
        return main(["study", str(study), "--out", str(tmp_path / out), *words])

    return run
