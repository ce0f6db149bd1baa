"""A run folder may come from a stranger too: its recipe, its checkpoint and its small files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import torch
import yaml
from jsonargparse import _common as settings

import pathfuse
from pathfuse.cli import main
from pathfuse.errors import PathfuseError, RunError
from tests.conftest import write_cases
from tests.security.conftest import PLAIN, Refuse, put

COMMANDS = {
    "test": ("test", "RUN"),
    "predict": ("predict", "RUN"),
    "validate": ("validate", "RUN"),
    "explain": ("explain", "RUN"),
    "resume": ("fit", "--resume", "RUN"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one stage, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "cohort").mkdir()
    cases = write_cases(folder / "cohort")
    (folder / "plain.yaml").write_text(PLAIN.replace("CASES", str(cases)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(["fit", "--recipe", str(folder / "plain.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def unfinish(run: Path) -> None:
    """Makes `--resume` read the checkpoint again; whoever spoils a run takes its seal away too."""
    (run / "stages.json").unlink()
    (run / "seal.json").unlink()


def refused_everywhere(run: Path, refuse: Refuse, canary: Path) -> str:
    """Every command that takes a run, and `pathfuse.load`; returns what was said last."""
    error = ""
    for words in COMMANDS.values():
        error = refuse(*(str(run) if word == "RUN" else word for word in words))
    with pytest.raises(PathfuseError) as caught:
        pathfuse.load(run)
    assert "\n" not in str(caught.value) and not canary.exists()
    return error


@pytest.mark.parametrize("key", ["data", "stages/train/model/head", "stages/train/model/encoder", "trainer/callbacks"])
def test_the_recipe_of_a_run_is_as_untrusted_as_any(key: str, run: Path, refuse: Refuse, canary: Path) -> None:
    hostile: Any = {"class_path": "os.system", "init_args": {"command": f"touch {canary}"}}
    config = yaml.safe_load((run / "config.yaml").read_text())
    spoilt = put(config, key, [hostile] if key.endswith("callbacks") else hostile)
    (run / "config.yaml").write_text(yaml.safe_dump(spoilt))
    assert "os.system may not be named" in refused_everywhere(run, refuse, canary)


def test_the_recipe_of_a_run_cannot_carry_python(run: Path, refuse: Refuse, canary: Path) -> None:
    (run / "config.yaml").write_text(f'data: !!python/object/apply:os.system ["touch {canary}"]\n')
    assert "config.yaml line 1" in refused_everywhere(run, refuse, canary)


def test_the_weights_of_another_run_are_noticed_by_every_command(run: Path, refuse: Refuse, canary: Path) -> None:
    for path in run.rglob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        content["state_dict"] = {name: value + 1 for name, value in content["state_dict"].items()}
        torch.save(content, path)
    for words in (
        ("test",),
        ("predict",),
        ("validate",),
        ("explain",),
        ("report",),
        ("export", "--to", "folder", "--out", "model"),
    ):
        assert "best.ckpt is not the file that the run wrote" in refuse(words[0], str(run), *words[1:])
    with pytest.raises(RunError, match="is not the file that the run wrote"):
        pathfuse.load(run)


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv"])
def test_an_edited_result_is_noticed(name: str, run: Path, refuse: Refuse) -> None:
    text = (run / name).read_text()
    (run / name).write_text(text.replace("0.", "0.9", 1))
    assert f"{name} is not the file that the run wrote" in refuse("report", str(run))


class Bomb:
    """Touches the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def with_bomb(content: dict[str, Any], canary: Path) -> object:
    return {**content, "bomb": Bomb(canary)}


def bomb_alone(content: dict[str, Any], canary: Path) -> object:
    return Bomb(canary)


def whole_module(content: dict[str, Any], canary: Path) -> object:
    return torch.nn.Linear(2, 2)


def other_shapes(content: dict[str, Any], canary: Path) -> object:
    return {**content, "state_dict": {key: torch.zeros(3) for key in content["state_dict"]}}


def fewer_weights(content: dict[str, Any], canary: Path) -> object:
    return {**content, "state_dict": dict(list(content["state_dict"].items())[1:])}


def more_weights(content: dict[str, Any], canary: Path) -> object:
    return {**content, "state_dict": {**content["state_dict"], "x": torch.zeros(1)}}


def no_weights(content: dict[str, Any], canary: Path) -> object:
    return {}


def a_list(content: dict[str, Any], canary: Path) -> object:
    return [1, 2]


@pytest.mark.parametrize(
    "spoil", [with_bomb, bomb_alone, whole_module, other_shapes, fewer_weights, more_weights, no_weights, a_list]
)
def test_a_hostile_checkpoint_runs_nothing(
    spoil: Callable[[dict[str, Any], Path], object], run: Path, refuse: Refuse, canary: Path
) -> None:
    unfinish(run)
    for path in run.rglob("*.ckpt"):
        torch.save(spoil(torch.load(path, weights_only=True), canary), path)
    assert ".ckpt cannot be loaded" in refused_everywhere(run, refuse, canary)


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "old pickle"])
def test_a_damaged_checkpoint_ends_in_one_line(kind: str, run: Path, refuse: Refuse, canary: Path) -> None:
    unfinish(run)
    for path in run.rglob("*.ckpt"):
        content = path.read_bytes()
        spoilt = {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "text": b"weights",
            "old pickle": pickle.dumps(Bomb(canary)),
        }
        path.write_bytes(spoilt[kind])
    assert str(run) in refused_everywhere(run, refuse, canary)


@pytest.mark.parametrize("key", ["optimizer_states", "loops", "callbacks", "lr_schedulers", "epoch"])
@pytest.mark.parametrize("value", [None, {}, [], {"a": {}}, "gone"], ids=range(5))
def test_a_checkpoint_without_its_state_is_not_continued(
    key: str, value: object, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinish(run)
    for path in run.rglob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        if value == "gone":
            del content[key]
        elif key == "callbacks" and value == {"a": {}}:
            content[key] = {name: {} for name in content[key]}
        else:
            content[key] = value
        torch.save(content, path)
    status = main(["fit", "--resume", str(run)])
    error = capsys.readouterr().err
    # What Lightning can do without is no error.
    assert status == 0 or (status == 2 and "cannot be continued" in error and error.count("\n") == 1)


def test_class_paths_in_a_checkpoint_are_plain_words(run: Path, canary: Path) -> None:
    before = (run / "metrics.json").read_text()
    hostile = {"class_path": "os.system", "init_args": {"command": f"touch {canary}"}}
    for path in run.rglob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        content["hyper_parameters"] = {"_class_path": "evil.Head", "encoder": hostile, "head": hostile}
        content["datamodule_hyper_parameters"] = hostile
        content["hparams_name"] = "evil.call"
        torch.save(content, path)
    unfinish(run)
    assert main(["test", str(run), "--out", str(run.with_name("out"))]) == 0
    assert (run.with_name("out") / "metrics.json").read_text() == before
    assert main(["fit", "--resume", str(run)]) == 0
    assert pathfuse.load(run).reads == ("he",)
    assert not canary.exists()


def test_a_checkpoint_cannot_have_other_files_removed(run: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    for path in run.rglob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        for state in content["callbacks"].values():
            state.update(best_model_path=str(victim), kth_best_model_path=str(victim), last_model_path=str(victim))
            state["best_k_models"] = {str(victim): torch.tensor(-1.0)}
        torch.save(content, path)
    unfinish(run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(put(config, "trainer/max_epochs", 3)))
    versions = json.loads((run / "versions.json").read_text())
    from pathfuse.inference.versions import recipe_hash

    versions["recipe_sha256"] = recipe_hash(put(config, "trainer/max_epochs", 3))
    (run / "versions.json").write_text(json.dumps(versions))
    assert main(["fit", "--resume", str(run)]) == 0
    assert victim.read_text() == "mine"


def test_a_checkpoint_named_on_the_command_line_is_as_untrusted(run: Path, refuse: Refuse, canary: Path) -> None:
    bad = run.with_name("bad.ckpt")
    torch.save(Bomb(canary), bad)
    assert "bad.ckpt cannot be loaded" in refuse("test", str(run), "--ckpt_path", str(bad))
    assert "no.ckpt" in refuse("test", str(run), "--ckpt_path", str(run / "no.ckpt"))


def test_weights_named_in_a_recipe_are_as_untrusted(
    plain: dict[str, Any], tmp_path: Path, canary: Path, refuse_recipe: Refuse
) -> None:
    torch.save(Bomb(canary), tmp_path / "weights.pth")
    key = "model/encoder/init_args/backbone/init_args/weights"
    assert "weights.pth" in refuse_recipe(put(plain, key, str(tmp_path / "weights.pth")))


@pytest.mark.parametrize("name", ["spec.json", "versions.json", "stages.json"])
@pytest.mark.parametrize("text", ["", "{", "3", "[]", "{}", '{"train": 3}', "[" * 100_000], ids=range(7))
def test_a_damaged_small_file_is_named(name: str, text: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / name).write_text(text)
    command = (
        ["test", str(run), "--out", str(run.with_name("out"))] if name == "spec.json" else ["fit", "--resume", str(run)]
    )
    status = main(command)
    error = capsys.readouterr().err
    if status:
        assert status == 2 and str(run) in error and error.count("\n") == 1
    else:
        # Nothing in it was needed: the data is there to be measured again, and no stage is called complete.
        assert text == "{}" or (name, text) in (("stages.json", '{"train": 3}'),)


def test_a_missing_run_or_part_of_it_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        pathfuse.load(tmp_path / "nothing")
    (run / "spec.json").unlink()
    with pytest.raises(RunError, match=r"spec\.json"):
        pathfuse.load(run)


def test_loading_a_run_puts_the_settings_of_jsonargparse_back(run: Path, tmp_path: Path) -> None:
    before = dict(settings.parsing_settings)
    pathfuse.load(run)
    assert settings.parsing_settings == before
    (run / "config.yaml").write_text("stages: {train: {model: {head: {class_path: os.system}}}}")
    with pytest.raises(PathfuseError):
        pathfuse.load(run)
    assert settings.parsing_settings == before
    # What another program in the same process may do afterwards.
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--when", type=Callable)
    assert parser.parse_args(["--when", "calendar.isleap"]).when is __import__("calendar").isleap
