"""Killed at any moment and started again: the same bytes as without."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pathfuse.cli import main
from tests.conftest import PROJECT_ROOT
from tests.study.small import results, rows, write_study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills and locks by the rules of POSIX")


def start(study: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "pathfuse", "study", str(study), "--out", str(out), *words]
    folders = os.pathsep.join([str(PROJECT_ROOT), str(PROJECT_ROOT / "plugins")])
    environment = {**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(process: subprocess.Popen[str], done: object, what: str) -> None:
    end = time.monotonic() + 120
    while not done():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, what
        time.sleep(0.01)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def children_of(process: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def test_a_study_that_is_killed_twice_gives_the_same_bytes(here: None, tmp_path: Path, cases: Path) -> None:
    study = write_study(tmp_path, cases, epochs=6)
    out = tmp_path / "killed"
    # In the middle of the first run, and of a later one.
    first = start(study, out)
    wait_for(first, lambda: list(out.rglob("last.ckpt")), "no epoch was finished")
    kill(first)
    assert not (out / "he/seed1/r0f0/predictions.csv").exists()
    second = start(study, out)
    wait_for(second, lambda: (out / "ihc/seed1/r0f0/checkpoints/train/last.ckpt").exists(), "no second run began")
    kill(second)
    assert not (out / "comparison.csv").exists()
    assert main(["study", str(study), "--out", str(out)]) == 0
    assert main(["study", str(study), "--out", str(tmp_path / "whole")]) == 0
    assert results(out) == results(tmp_path / "whole")


def test_a_killed_worker_costs_its_run_and_nothing_else(tmp_path: Path, cases: Path) -> None:
    study = write_study(tmp_path, cases, epochs=6)
    out = tmp_path / "out"
    process = start(study, out, "--ihc.trainer.max_epochs=1")
    wait_for(process, lambda: list(out.rglob("last.ckpt")), "no epoch was finished")
    for worker in children_of(process):
        os.kill(worker, signal.SIGKILL)
    assert process.wait(timeout=120) == 1
    process.communicate()
    states = {(row["variant"], row["fold"]): row for row in rows(out / "runs.csv")}
    failed = [row for row in states.values() if row["status"] == "failed"]
    assert len(states) == 4 and len(failed) == 1
    assert "its process ended with exit status -9" in failed[0]["reason"]
