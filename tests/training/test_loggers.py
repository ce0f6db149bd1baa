"""Loggers by one word, more epochs for a finished run, and runs that are used from elsewhere."""

from __future__ import annotations

import csv
import re
import resource
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from pathfuse.cli import main
from pathfuse.errors import RecipeError, RunError
from pathfuse.runs.extend import extended_stages
from pathfuse.runs.folder import RunFolder
from pathfuse.training.loggers.build import check_loggers, logger_words

Says = pytest.CaptureFixture[str]


@pytest.fixture
def moved(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder somewhere else, and a working folder that is another one."""
    place = tmp_path / "moved"
    shutil.copytree(trained, place)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("PATHFUSE_RUN", raising=False)
    return place


def logged(run: Path) -> list[dict[str, str]]:
    with (run / "logs" / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_curves_parameters_and_test_metrics_are_in_one_version(trained: Path) -> None:
    rows = logged(trained / "run")
    assert {row["stage"] for row in rows} == {"train"}
    assert any(row.get("train/loss") for row in rows) and any(row.get("val/loss") for row in rows)
    assert any(row.get("test/he/balanced_accuracy") for row in rows)
    assert yaml.safe_load((trained / "run" / "logs" / "hparams.yaml").read_text())["seed"] == 1


def test_a_finished_run_goes_on_for_more_epochs_from_another_folder(moved: Path) -> None:
    run = moved / "run"
    assert main(["fit", "--resume", str(run), "--trainer.max_epochs", "2"]) == 0
    assert [row["epoch"] for row in RunFolder(run).curve("train")] == ["0", "1"]
    assert RunFolder(run).config["trainer"]["max_epochs"] == 2
    assert {row["epoch"] for row in logged(run) if row.get("train/loss")} == {"0", "1"}
    assert main(["fit", "--resume", str(run)]) == 0, "its recipe is the one with more epochs"


def test_fewer_epochs_or_another_option_are_refused(trained: Path) -> None:
    run = RunFolder(trained / "run")
    for key, value in (("max_epochs", 0), ("gradient_clip_val", 1.0)):
        changed = {**run.config, "trainer": {**run.config["trainer"], key: value}}
        with pytest.raises(RunError, match=rf"trainer\.{key} was .* and is {value}"):
            extended_stages(run, changed)


def test_sources_that_are_nowhere_are_asked_for(moved: Path, capsys: Says) -> None:
    (moved / "labels.csv").unlink()
    assert main(["test", str(moved / "run")]) == 2
    said = capsys.readouterr().err
    assert "was trained on labels.csv, which is neither here nor beside the run" in said and "--cases PATH" in said


def test_every_line_that_says_how_to_go_on_can_be_followed(moved: Path, capsys: Says) -> None:
    line = f"fit --recipe {moved / 'bags.yaml'} --cases {moved / 'labels.csv'} --stores '{{he: {moved / 'he'}}}'"
    assert main(shlex.split(f"{line} --out {moved / 'run'}")) == 2
    advice = re.search(r"Continue it with: pathfuse (fit --resume \S+),", capsys.readouterr().err)
    assert advice and main(shlex.split(advice[1])) == 0
    (moved / "full").mkdir()
    (moved / "full" / "notes.txt").write_text("mine")
    assert main(shlex.split(f"{line} --out {moved / 'full'}")) == 2
    said = capsys.readouterr().err
    assert "It is no run: choose another --out." in said and "--resume" not in said


def test_after_a_full_disk_a_run_goes_on_by_the_line_that_is_said(moved: Path, capsys: Says) -> None:
    line = f"fit --recipe {moved / 'bags.yaml'} --cases {moved / 'labels.csv'} --stores '{{he: {moved / 'he'}}}'"
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, allowed[1]))  # a checkpoint has 15 kB, all before has less
    try:
        assert main(shlex.split(f"{line} --out {moved / 'new'}")) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    advice = re.search(r"ckpt cannot be written .*Free space, then go on: pathfuse (.+)", capsys.readouterr().err)
    assert advice and main(shlex.split(advice[1])) == 0
    assert RunFolder(moved / "new").tested and not list(moved.rglob(".*ckpt*"))


def test_a_run_without_its_checkpoint_is_trained_again_by_the_line_that_is_said(moved: Path, capsys: Says) -> None:
    run = moved / "run"
    before = (run / "predictions.csv").read_text()
    (run / "checkpoints" / "train" / "best.ckpt").unlink()
    assert main(["test", str(run)]) == 2  # the last epoch does not take its place
    assert (
        f"best.ckpt is gone, and last.ckpt is of another epoch. Restore it, or remove {run}" in capsys.readouterr().err
    )
    shutil.rmtree(run / "checkpoints")
    assert main(["test", str(run)]) == 2
    advice = re.search(r"has no checkpoint of stage train\. Train it with `pathfuse (.+?)`", capsys.readouterr().err)
    assert advice and main(shlex.split(advice[1])) == 0
    assert (run / "predictions.csv").read_text() == before and RunFolder(run).complete() == ["train"]
    capsys.readouterr()
    assert main(["test", str(run), "--out", str(moved / "tested")]) == 0
    assert f"report: {moved / 'tested' / 'report.html'}" in capsys.readouterr().out
    assert "Balanced accuracy" in (moved / "tested" / "report.html").read_text()


@pytest.mark.parametrize(
    ("said", "words"),
    [("csv", ["csv"]), ("CSVLogger", ["csv"]), ("csv,wandb", ["csv", "wandb"]), (["MLFlowLogger"], ["mlflow"]),
     ("lightning.pytorch.loggers.TensorBoardLogger", ["tensorboard"]), ("paper", []), (True, []), (None, [])],
)  # fmt: skip
def test_a_logger_is_one_word(said: object, words: list[str]) -> None:
    assert logger_words(said) == words


@pytest.mark.parametrize("word", ["tensorboard", "wandb", "mlflow"])
def test_a_logger_without_its_package_is_named(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathfuse.training.loggers.build.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=f"logger {word} needs the package {word}: pip install {word}"):
        check_loggers([word])
