"""What a recipe file names stays inside the run folder and off the network; what is typed is the user's own word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pathfuse.cli import main
from pathfuse.inference.parsing.confined import FOLDER, confined_cache, reaches_out
from pathfuse.system.cache_folder import default_cache
from tests.security.conftest import Refuse, put

LOGGERS, CALLBACKS = "lightning.pytorch.loggers", "lightning.pytorch.callbacks"


def checkpoint(**options: object) -> dict[str, Any]:
    return {"class_path": f"{CALLBACKS}.ModelCheckpoint", "init_args": options}


def in_trainer(key: str, value: object) -> dict[str, Any]:
    return {"trainer": {key: value}}


OUT: dict[str, dict[str, Any]] = {
    "another run": in_trainer("callbacks", [checkpoint(dirpath="/runs/other/checkpoints/train", filename="best")]),
    "above": in_trainer("callbacks", [checkpoint(dirpath="../../other")]),
    "home": in_trainer("callbacks", [checkpoint(dirpath="~/x")]),
    "by the name of the file": in_trainer("callbacks", [checkpoint(filename="../train/best")]),
    "a bucket": in_trainer("callbacks", [checkpoint(dirpath="s3://bucket/x")]),
    "a drive": in_trainer("callbacks", [checkpoint(dirpath="C:\\x")]),
    "a logger": in_trainer("logger", {"class_path": f"{LOGGERS}.CSVLogger", "init_args": {"save_dir": "/tmp/x"}}),
    "its name": in_trainer("logger", {"class_path": "CSVLogger", "init_args": {"save_dir": "a", "name": "../../x"}}),
    "one of several": in_trainer("logger", [{"class_path": f"{LOGGERS}.WandbLogger"}]),
    "the network": in_trainer("logger", {"class_path": f"{LOGGERS}.MLFlowLogger", "init_args": {}}),
    "a class as a word": in_trainer("logger", "CometLogger"),
    "a word": {"logger": "wandb"},
    "a word in a list": {"logger": ["csv", "wandb"]},
    "a cache": {"cohort": {"cache": "/x"}},
    "a cache above": {"cohort": {"cache": "../x"}},
    "a cache on a drive": {"cohort": {"cache": "C:\\x"}},
    "a profiler": in_trainer(
        "profiler", {"class_path": "lightning.pytorch.profilers.SimpleProfiler", "init_args": {"dirpath": "/x"}}
    ),
}
IN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "words": {"logger": ["csv", "tensorboard", "mlflow"]},
    "below the run": in_trainer("callbacks", [checkpoint(dirpath="kept/here", monitor="val/loss", filename="{epoch}")]),
    "no place": in_trainer(
        "callbacks", [{"class_path": f"{CALLBACKS}.EarlyStopping", "init_args": {"monitor": "a/b"}}]
    ),
    "a local logger": in_trainer("logger", {"class_path": f"{LOGGERS}.CSVLogger", "init_args": {"save_dir": "logs"}}),
    "a cache of its own": {"cohort": {"cache": "mine/here"}},
    "no cache": {"cohort": {"cache": None}},
    "true": in_trainer("logger", True),
}


@pytest.mark.parametrize("name", OUT)
def test_what_leads_out_is_named(name: str) -> None:
    (line,) = reaches_out(OUT[name])
    assert (
        any(place in line for place in ("run folder", "network", "your cache"))
        and "Type it" in line
        and "\n" not in line
    )


@pytest.mark.parametrize("name", IN)
def test_what_stays_inside_is_allowed(name: str) -> None:
    assert reaches_out(IN[name]) == []


@pytest.mark.parametrize("trusted", ["lightning.pytorch", LOGGERS, f"{LOGGERS}.WandbLogger"])
def test_the_environment_allows_more(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHFUSE_TRUST", trusted)
    assert reaches_out(OUT["one of several"]) == []
    assert bool(reaches_out(OUT["another run"])) == (trusted != "lightning.pytorch")


def test_a_cache_of_a_file_lies_in_the_cache_of_the_user_and_a_typed_one_where_it_is_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = default_cache()
    assert confined_cache("mine", {"cohort": {"cache": "mine"}}) == str(usual / "mine")
    assert confined_cache("/x", {"cohort": {"cache": "/x"}}) is None, "a run that leads out is tested in the usual one"
    assert confined_cache("/typed", {"cohort": {"cache": "/x"}}) == "/typed"
    assert confined_cache("/typed", {}) == "/typed"
    assert reaches_out({"cohort": {"cache": str(usual / "mine")}}) == []
    assert reaches_out({"cohort": {"cache": f"{usual}/../x"}})
    monkeypatch.setenv("PATHFUSE_TRUST", "pathfuse.cohort")
    assert confined_cache("/x", {"cohort": {"cache": "/x"}}) == "/x" and reaches_out(OUT["a cache"]) == []


@pytest.mark.parametrize("name", ["another run", "a logger", "a word", "a cache"])
def test_a_recipe_file_that_leads_out_is_not_trained(name: str, plain: dict[str, Any], refuse_recipe: Refuse) -> None:
    for key, value in OUT[name].items():
        plain = put(plain, key, {**plain.get(key, {}), **value} if isinstance(value, dict) else value)
    assert "stage train: " in refuse_recipe(plain)


def test_a_checkpoint_of_a_file_lies_in_the_run_and_a_typed_one_where_it_is_typed(
    plain: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, typed = tmp_path / "r.yaml", tmp_path / "typed"
    for number, kept in enumerate((checkpoint(filename="train/best"), checkpoint(dirpath="kept", filename="mine"))):
        recipe.write_text(yaml.safe_dump(put(plain, "trainer/callbacks", [kept])))
        run = tmp_path / f"run{number}"
        more = [] if number else [f"--trainer.callbacks+={checkpoint(dirpath=str(typed), filename='own', mode='max')}"]
        assert main(["fit", "--recipe", str(recipe), "--out", str(run), *more]) == 0
        assert main(["test", str(run), "--out", str(tmp_path / f"test{number}")]) == 0, "the seal holds"
        names = {path.relative_to(run).as_posix() for path in run.rglob("*.ckpt")}
        ours = {"checkpoints/train/best.ckpt", "checkpoints/train/last.ckpt"}
        assert names == ours | {f"{FOLDER}/{'kept/mine' if number else 'train/best'}.ckpt"}
    assert [path.name for path in typed.iterdir()] == ["own.ckpt"]


def test_a_run_that_leads_out_is_tested_without_what_does_and_goes_on_when_it_is_typed_again(
    plain: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, away = tmp_path / "r.yaml", tmp_path / "away"
    recipe.write_text(yaml.safe_dump(plain))
    logger = {"class_path": f"{LOGGERS}.CSVLogger", "init_args": {"save_dir": str(away)}}
    run = tmp_path / "run"
    assert main(["fit", "--recipe", str(recipe), "--out", str(run), f"--trainer.logger={logger}"]) == 0
    before = sorted(away.rglob("*"))
    assert before and main(["test", str(run), "--out", str(tmp_path / "test")]) == 0
    assert sorted(away.rglob("*")) == before
    capsys.readouterr()
    assert main(["fit", "--resume", str(run)]) == 2
    assert "Type it on the command line" in capsys.readouterr().err
    assert main(["fit", "--resume", str(run), f"--trainer.logger={logger}"]) == 0
