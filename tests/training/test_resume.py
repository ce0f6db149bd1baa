"""An interrupted run goes on from its last finished epoch and ends exactly where the uninterrupted one does."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from pathfuse.cli import main
from pathfuse.training import fit as fit_module
from tests.conftest import SMALL, write_cases
from tests.training.conftest import Run

checkpoints = fit_module.checkpoints
COMPARED = ("curves/correlate.csv", "curves/predict.csv", "predictions.csv", "metrics.json")


class StopAt(Callback):
    """Sends this process a signal in the middle of an epoch."""

    def __init__(self, stage: str, epoch: int, sent: signal.Signals) -> None:
        self.stage, self.epoch, self.sent = stage, epoch, sent

    def on_train_batch_end(self, trainer, *args) -> None:
        if trainer.current_epoch == self.epoch and trainer.checkpoint_callbacks[0].dirpath.endswith(self.stage):
            os.kill(os.getpid(), self.sent)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    def at(stage: str, epoch: int, sent: signal.Signals) -> None:
        stop = StopAt(stage, epoch, sent)
        monkeypatch.setattr(fit_module, "checkpoints", lambda *args, **how: [*checkpoints(*args, **how), stop])

    return at


WORDS = ("--trainer.max_epochs=3", "--correlate.model.modality_dropout={he: 0.3}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run, loaded by the main process."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    recipe = folder / "small.yaml"
    recipe.write_text(SMALL.replace("CASES", str(write_cases(folder))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(["fit", "--recipe", str(recipe), "--out", str(folder / "whole"), *WORDS]) == 0
    return folder / "whole"


@pytest.mark.parametrize(
    ("stage", "epoch", "workers", "sent", "by"),
    [
        ("correlate", 2, 0, signal.SIGINT, ""),
        ("predict", 0, 0, signal.SIGINT, ""),
        ("predict", 1, 0, signal.SIGUSR1, " by SIGUSR1"),
        ("predict", 1, 2, signal.SIGTERM, " by SIGTERM"),
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one(
    whole: Path, small: Path, tmp_path: Path, interrupt, monkeypatch, capsys, stage, epoch, workers, sent, by
) -> None:
    words = [f"--loading.num_workers={workers}", *WORDS]
    interrupt(stage, epoch, sent)
    out = tmp_path / "stopped"
    assert main(["fit", "--recipe", str(small), "--out", str(out), *words]) == 130
    assert f"stopped{by} in stage {stage}. Continue with: pathfuse fit --resume {out}" in capsys.readouterr().err
    assert not (out / "predictions.csv").exists()
    monkeypatch.setattr(fit_module, "checkpoints", checkpoints)
    assert main(["fit", "--resume", str(out)]) == 0
    for name in COMPARED:
        assert (out / name).read_text() == (whole / name).read_text(), name


def test_finished_stages_are_not_trained_again(fit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("run")
    written = (run / "checkpoints/predict/last.ckpt").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["fit", "--resume", str(run)]) == 0
    assert "epoch" not in capsys.readouterr().out
    assert (run / "checkpoints/predict/last.ckpt").stat().st_mtime_ns == written


def test_the_last_of_two_stages_goes_on_for_longer_and_an_earlier_one_does_not(
    fit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, run = fit("whole", "--predict.trainer.max_epochs=3"), fit("run")
    assert main(["fit", "--resume", str(run), "--predict.trainer.max_epochs", "3"]) == 0
    for name in COMPARED:
        assert (run / name).read_text() == (whole / name).read_text(), name
    capsys.readouterr()
    assert main(["fit", "--resume", str(run), "--trainer.max_epochs", "4"]) == 2
    said = capsys.readouterr().err
    assert "stage correlate is complete and predict stands on it" in said
    advice = re.search(r"alone: (--\S+ \d+)\.", said)
    assert advice and main(["fit", "--resume", str(run), *advice[1].split()]) == 0
    assert "epoch 4/4" in capsys.readouterr().out


def test_another_recipe_is_refused_and_named(fit: Run, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("run")
    words = ["fit", "--recipe", str(small), "--resume", str(run), "--predict.optimizer.lr=0.5"]
    assert main(words) == 2
    assert "optimizer.init_args.lr was 0.001 and is 0.5" in capsys.readouterr().err


def test_other_data_is_refused(fit: Run, cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("run")
    cases.write_text(cases.read_text().replace("c000,p000,he,he_000.png,0,", "c000,p000,he,he_000.png,1+,").replace(
        "c000,p000,ihc,ihc_000.png,0,", "c000,p000,ihc,ihc_000.png,1+,"
    ))  # fmt: skip
    assert main(["fit", "--resume", str(run)]) == 2
    assert "other cases" in capsys.readouterr().err


def test_ctrl_c_leaves_a_run_that_can_be_resumed(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [sys.executable, "-m", "pathfuse", "fit", "--recipe", str(small), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*words, "--trainer.max_epochs=2000"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    finished = out / "checkpoints/correlate/last.ckpt"
    for _ in range(12_000):
        if finished.is_file() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=1200)
    assert process.returncode == 130
    assert f"pathfuse fit --resume {out}" in error and "Traceback" not in error
    assert '"batch"' in (out / "progress.json").read_text(), "how far it is, for whoever started many runs"
    assert finished.is_file()
