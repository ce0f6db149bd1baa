"""Processes that something else starts together train one run: the first makes its folder, the others wait for it."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lightning.fabric.utilities.rank_zero import _get_rank
from lightning.pytorch.plugins.environments import SLURMEnvironment

from pathfuse.cli import main
from pathfuse.errors import RecipeError, RunError
from pathfuse.training.processes.launched import (
    MARK,
    RUN_VARIABLE,
    announce,
    forget,
    launch,
    made_by_first,
    named,
    started_together,
)
from tests.cohort.natural import NAMES, bag_recipe, stores, table

TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
PATIENCE_S = 1200  # on a busy machine two processes that wait for each other take their time
# As `srun --ntasks=2` sets it; Slurm itself is not here.
SRUN = {
    "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1",
    "SLURM_NODELIST": "node1", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0",
    "SLURM_JOB_NAME": "pathfuse",
}  # fmt: skip
TWO = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "pathfuse", "fit"]
CPU = ("--trainer.devices=2", "--trainer.accelerator=cpu", "--trainer.strategy=ddp")


@pytest.fixture(autouse=True)
def address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets after a test what Lightning sets by itself, from Slurm's words: others would wait for that machine."""
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "same"),
    [
        ({}, False),
        ({"RANK": "0", "WORLD_SIZE": "1"}, False),
        (TORCHRUN, True),
        ({**TORCHRUN, RUN_VARIABLE: "x"}, False),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}, True),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_ID": "7"}, False),
        ({"SLURM_PROCID": "x", "SLURM_NTASKS": "?"}, False),
    ],
)
def test_who_was_started_together_is_known_from_the_environment(environment: dict[str, str], same: bool) -> None:
    assert (launch(environment) is not None) == same
    others = {**environment, "RANK": "0", "LOCAL_RANK": "0"} if "RANK" in environment else environment
    assert launch(others) == launch(environment)


@pytest.mark.parametrize("environment", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_the_others_wait_for_the_folder_of_the_first(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    (tmp_path / MARK).write_text("of another launch")
    with pytest.raises(RunError, match="was not made ready by the first process"):
        made_by_first(tmp_path, wait_s=0.1)
    with pytest.raises(RecipeError, match="--out"):
        named(None)
    announce(tmp_path)
    monkeypatch.delenv(RUN_VARIABLE)
    assert made_by_first(tmp_path) == tmp_path and os.environ[RUN_VARIABLE] == str(tmp_path)
    forget(tmp_path)
    assert not (tmp_path / MARK).exists()


def test_lightning_takes_the_number_of_a_process_from_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert SLURMEnvironment.detect() and _get_rank() == 1
    slurm = SLURMEnvironment(auto_requeue=False)
    assert (slurm.world_size(), slurm.global_rank(), slurm.local_rank(), slurm.main_address) == (2, 1, 1, "node1")
    with pytest.raises(ValueError, match="devices=1"):
        slurm.validate_settings(num_devices=1, num_nodes=1)


@pytest.mark.parametrize("environment", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_fewer_processes_than_were_started_are_one_line(
    environment: dict[str, str], cohort: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    assert main(["fit", *words(cohort, "alone")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "2 processes were started together, and the trainer has 1." in error
    assert not (cohort / "alone").exists()
    assert started_together({**environment, RUN_VARIABLE: "x"}) is None


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launched")
    bag_recipe(folder)
    stores(folder)
    # Eight training cases: two batches of four, or of two in each process, without one that is repeated to fill up.
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    rows = [f"{name},{'ab'[k % 2]},{parts[k]}" for k, name in enumerate(NAMES)]
    table(folder / "labels.csv", "case_id,label,split", rows)
    return folder


def words(folder: Path, out: str, *more: str) -> list[str]:
    sources = ["--cases", str(folder / "labels.csv"), "--stores", f"{{he: {folder}/he, ihc: {folder}/ihc}}"]
    return ["--recipe", str(folder / "bags.yaml"), *sources, "--out", str(folder / out), *more]


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    return {**own, "OMP_NUM_THREADS": "1"}


def chances(run: Path) -> dict[tuple[str, str], list[float]]:
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["case_id"], row["subset"]): [float(row["p_a"]), float(row["p_b"])] for row in rows}
    assert len(found) == len(rows), "every case once"
    return found


# Enough that the signal below finds the run in the middle: an epoch takes a tenth of a second.
EPOCHS = "--trainer.max_epochs=40"


@pytest.fixture(scope="module")
def one(cohort: Path) -> Path:
    """The run of one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(RUN_VARIABLE, raising=False)
        assert main(["fit", *words(cohort, "one", "--loading.batch_size=4", EPOCHS)]) == 0
    return cohort / "one"


def test_torchrun_trains_what_one_process_does_and_goes_on_after_a_signal(cohort: Path, one: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", *TWO, *words(cohort, "two", *CPU, "--loading.batch_size=2", EPOCHS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    curve, end = cohort / "two" / "curves" / "train.csv", time.monotonic() + PATIENCE_S
    while time.monotonic() < end and not (curve.is_file() and len(curve.read_text().splitlines()) > 2):
        assert started.poll() is None, started.communicate()[0]
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    said = started.communicate(timeout=PATIENCE_S)[0]
    said_so = rf"^stopped by SIGTERM( in stage train)?\. Continue with: pathfuse fit --resume {cohort}/two$"
    assert re.search(said_so, said, re.M), said[-3000:]
    again = [sys.executable, "-m", *TWO, "--resume", str(cohort / "two")]
    done = subprocess.run(again, capture_output=True, text=True, timeout=PATIENCE_S, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count(f"run folder: {cohort / 'two'}") == 1
    alone, two = chances(one), chances(cohort / "two")
    assert alone.keys() == two.keys()
    assert all(two[case] == pytest.approx(alone[case], abs=1e-5) for case in alone)
    assert names(one) == names(cohort / "two")


def test_two_processes_that_lightning_starts_are_one_run_with_one_voice(cohort: Path, one: Path) -> None:
    more = (*CPU, "--loading.batch_size=2", "--trainer.max_epochs=1")
    line = [sys.executable, "-m", "pathfuse", "fit", *words(cohort, "started", *more)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, env=environment())
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said.count(f"run folder: {cohort / 'started'}") == 1
    assert len([text for text in said if text.startswith("train  epoch 1/1")]) == 1, said
    assert chances(cohort / "started").keys() == chances(one).keys()
    assert names(cohort / "started") == names(one)


def names(run: Path) -> set[str]:
    """What lies in a run folder."""
    return {path.name for path in run.iterdir()}
