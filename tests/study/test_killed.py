"""A worker that is killed, then the whole study: what is started again ends with the same bytes as without."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pathfuse.cli import main
from tests.conftest import PROJECT_ROOT
from tests.study.small import NUMBERS, results, rows, write_study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills and locks by the rules of POSIX")


def start(study: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "pathfuse", "study", str(study), "--out", str(out), *words]
    folders = os.pathsep.join([str(PROJECT_ROOT), str(PROJECT_ROOT / "plugins")])
    environment = {**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(process: subprocess.Popen[str], done: object, what: str) -> None:
    end = time.monotonic() + 600
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


def test_a_killed_worker_costs_its_run_and_a_killed_study_goes_on_to_the_same_bytes(
    here: None, tmp_path: Path, cases: Path
) -> None:
    study = write_study(tmp_path, cases, NUMBERS, epochs=6)
    out = tmp_path / "killed"
    process = start(study, out)
    try:
        wait_for(process, lambda: list(out.rglob("last.ckpt")), "no epoch was finished")
        (lost,) = (path.parents[2] for path in out.rglob("last.ckpt"))
        for worker in children_of(process):
            os.kill(worker, signal.SIGKILL)
        # The study itself in the middle of the next run, which another worker does.
        wait_for(process, lambda: len(list(out.rglob("last.ckpt"))) > 1, "no second run began")
    finally:
        kill(process)
    (state,) = rows(out / "runs.csv")
    assert state["status"] == "failed" and "its process ended with exit status -9" in state["reason"]
    assert lost == out / "he/seed1/r0f0" and not (lost / "predictions.csv").exists()
    assert not (out / "comparison.csv").exists()
    assert main(["study", str(study), "--out", str(out)]) == 0
    assert main(["study", str(study), "--out", str(tmp_path / "whole")]) == 0
    assert results(out) == results(tmp_path / "whole")
