"""Two training processes make one run: one voice, one folder, every case once."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from tests.training.conftest import Run

TWO = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu")


def test_a_run_of_two_processes_is_one_run(small: Path, tmp_path: Path, fit: Run) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PATHFUSE_RUN")}
    line = [sys.executable, "-m", "pathfuse", "fit", "--recipe", str(small), "--out", str(tmp_path / "two"), *TWO]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=300, env={**environment, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said.count(f"run folder: {tmp_path / 'two'}") == 1
    assert len([text for text in said if text.startswith("note: test:")]) == 1
    one = fit("one")
    assert {path.name for path in one.iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
    assert cases(tmp_path / "two") == cases(one)


def cases(run: Path) -> list[tuple[str, str]]:
    """Case and subset of every prediction, as often as they occur."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return sorted((row["case_id"], row["subset"]) for row in csv.DictReader(file))
