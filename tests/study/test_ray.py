"""Studies on a Ray of this machine, whose processes stand in another folder than the line that is typed."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pathfuse.study.on_ray
import pathfuse.study.run
from pathfuse.cli import main
from pathfuse.errors import RunError
from pathfuse.study.jobs import Job
from pathfuse.study.ledger import RunState
from pathfuse.study.on_ray import Share, Start, do_there, share_of
from tests.conftest import write_cases
from tests.extract.ray_small import own_ray
from tests.study.conftest import runs_here
from tests.study.small import NUMBERS, results, rows, write_study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills and locks by the rules of POSIX")
VICTIM = "he/seed1/r0f0"
ON_RAY = ("--engine", "ray")
CPUS = {"CPU": 8.0}
GPUS = {"CPU": 16.0, "GPU": 2.0}


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with own_ray() as module:
            yield module


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study whose recipe says relative to its folder where the cases are."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "cohort").mkdir()
    return write_study(folder, write_cases(folder / "cohort").relative_to(folder), NUMBERS, epochs=3)


@pytest.fixture(scope="module")
def whole(study: Path) -> dict[str, bytes]:
    """What this process makes of the study, without Ray."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(pathfuse.study.run, "_runs", runs_here)
        patch.chdir(study.parent)
        assert main(["study", study.name, "--out", "local"]) == 0
    return results(study.parent / "local")


@pytest.fixture
def there(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the study, as the working folder."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(study.parent)
    return study.parent


def mortal(job: Job, start: Start) -> RunState:
    """`do_there`, whose process is killed in the middle of one run."""
    if job.name == VICTIM:
        threading.Thread(target=_die, args=(start.folder / job.folder,), daemon=True).start()
    return do_there(job, start)


def _die(folder: Path) -> None:
    while not list(folder.rglob("last.ckpt")):
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_costs_its_run_and_the_same_line_goes_on_to_the_bytes_of_this_machine(
    ray: ModuleType, whole: dict[str, bytes], there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["study", "small_study.yaml", "--out", "killed", *ON_RAY]
    with monkeypatch.context() as patch:
        patch.setattr(pathfuse.study.on_ray, "do_there", mortal)
        assert main(line) == 1
    table = rows(there / "killed" / "runs.csv")
    lost = [f"{row['variant']}/seed{row['seed']}/r{row['repeat']}f{row['fold']}" for row in table if row["reason"]]
    assert lost == [VICTIM] and [row["status"] for row in table].count("done") == 3
    assert "WorkerCrashedError" in next(row["reason"] for row in table if row["status"] == "failed")
    assert not (there / "killed" / VICTIM / "predictions.csv").exists()
    assert main(line) == 0
    assert results(there / "killed") == whole


@pytest.mark.parametrize(
    ("machines", "options", "wanted"),
    [
        ([CPUS], {}, Share(8, 8)),
        ([CPUS, {"CPU": 6.0}, {"node": 1.0}], {"at_a_time": 2}, Share(3, 3)),  # equal threads, equal bytes
        ([CPUS, GPUS], {"gpus": 0.25}, Share(2, 2)),  # eight on the two GPUs share 16 cores
        ([GPUS], {"gpus": 2.0}, Share(16, 16)),
        ([GPUS], {"gpus": 0.4}, Share(4, 4)),  # two fit a GPU, not 2.5
        ([CPUS], {"threads": 1}, Share(1, 1)),
        ([CPUS], {"threads": 1, "at_a_time": 2}, Share(1, 4)),
        ([CPUS, GPUS], {"threads": 64}, Share(64, 16)),  # Ray would wait forever for a machine of 64 cores
        ([CPUS], {"at_a_time": 20}, Share(1, 1)),
    ],
)
def test_runs_share_out_the_cores(machines: list[dict[str, float]], options: dict[str, float], wanted: Share) -> None:
    assert share_of(machines, **{"at_a_time": None, "threads": None, "gpus": 0.0, **options}) == wanted


def test_a_cluster_without_room_is_one_line() -> None:
    with pytest.raises(RunError, match="no machine of this Ray cluster has a core and 1 GPU for a run"):
        share_of([CPUS, {"GPU": 1.0}], at_a_time=None, threads=None, gpus=1.0)


def test_a_machine_that_does_not_fit_the_study_fails_its_runs(tmp_path: Path) -> None:
    from importlib.metadata import version

    splits = tmp_path / "out" / "splits.csv"
    job = Job("he", 1, 0, 0, (), (), (("cohort.folds", str(splits)),), Path("out/he/seed1/r0f0"), "")
    own = version("pathfuse")
    assert "the study was started by 0.0. Install the same" in do_there(job, Start(tmp_path, "0.0")).reason
    assert "has no folder" in do_there(job, Start(tmp_path / "elsewhere", own)).reason
    assert f"does not see {splits.parent}. Choose an --out" in do_there(job, Start(tmp_path, own)).reason
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--address", "head:6379"], "--address is for --engine ray only"),
        (["--gpus", "0.5"], "--gpus is for --engine ray only"),
        (["--gpus", "-1", *ON_RAY], "--gpus -1: expected a share"),
        (["--gpus", "1.5", *ON_RAY], "--gpus 1.5: expected a share"),
        (["--gpus", "nan", *ON_RAY], "--gpus nan: expected a number"),
        (["--engine", "slurm"], "--engine slurm is unknown"),
    ],
)
def test_options_that_cannot_be_are_refused(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "demo", *words]) == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]
