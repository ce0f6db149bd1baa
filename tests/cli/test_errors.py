"""What a wrong line prints: a usage line, an error line with thing, reason and next step, and exit code 2."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

from pathfuse.cli import main

Says = pytest.CaptureFixture[str]


def error_of(words: list[str], capsys: Says) -> str:
    """The error line of a command that must fail with exit code 2."""
    capsys.readouterr()
    assert main(words) == 2
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert lines[-1].startswith("error: ") and printed.out == ""
    assert len(lines) == 1 or (len(lines) == 2 and lines[0].startswith("usage: pathfuse ")), printed.err
    return lines[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fitt"], "Did you mean fit?"),
        (["fit"], "--recipe NAME"),
        (["fit", "--recipe"], "--recipe needs a value"),
        (["fit", "--recipe", "coranet"], "Did you mean corranet?"),
        (["fit", "corranet"], "named with --recipe"),
        (["fit", "--recipe", "corranet", "--layer", "dmeo"], "it has demo"),
        (["fit", "--recipe", "corranet", "--out", "x", "--resume", "x"], "exclude each other"),
        (["fit", "--resume", "nowhere"], "is no run folder"),
        (["test"], "name a run folder"),
        (["test", "nowhere"], "is no run folder"),
        (["test", "one", "two"], "one run at a time"),
        (["fit", "--recipe", "he_only", "--case", "x"], "Did you mean --cases?"),
        (["predict", "one", "--case", "x"], "Did you mean --cases?"),
        (["recipes", "show", "coranet"], "Did you mean corranet?"),
        (["recipes", "dance"], "`pathfuse recipes dance` is not understood"),
        (["plugins", "show", "SEAtention"], "Did you mean SEAttention?"),
        (["plugins", "check", "SEAtention"], "Did you mean SEAttention?"),
        (["data", "check", "nowhere.csv"], "nowhere.csv"),
        (["data", "dance"], "is not understood"),
        (["data", "demo", "x", "--patients", "many"], "expected a whole number"),
        (["data", "demo", "x", "--layout", "round"], "write cases, bci, slides, bags"),
        (["data", "demo", "x", "--size", "3"], "'--size' is not understood"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_ends_in_one_line(
    words: list[str], says: str, capsys: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[:2] == ["data", "check"]:
        assert main(words) in (1, 2)
        assert says in "".join(capsys.readouterr())
    else:
        assert says in error_of(words, capsys)
    assert not list(tmp_path.iterdir()) or [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--predict.model.head=ConfidnceHead", "model.head: ConfidnceHead is not a known component. Did you mean Conf"),
        ("--last.x=3", "`last` is a word of `pathfuse study`. Stage predict is the last here, and has no such key."),
        ("--last.optimizer.lr=3", "`last` is a word of `pathfuse study`. Here it is --predict.optimizer.lr."),
        ("--predict.model.head.hiden=3", "'hiden' is no option there. Did you mean hidden?"),
        ("--predict.optimizer=Adm", "Did you mean Adam?"),
        ("--predict.optimizer.lrr=1", "Did you mean lr?"),
        ("--trainer.max_epoch=3", "Did you mean --trainer.max_epochs?"),
        ("--data.siz_px=3", "Did you mean size_px?"),
        ("--data.size_px=big", "size_px: expected int, got 'big'"),
        ("--data.mpp=1", "'mpp' is no option there. data.mpp is now cohort.mpp"),
        ("--data.cut.size_px=96", "data.cut.size_px is now data.cut.patch_px"),
        ("--sed=3", "Did you mean --seed?"),
        ("--predct.model.head.hidden=3", "Did you mean --predict.model.head.hidden?"),
        ("--predict.modle.head.hidden=3", "Did you mean model?"),
        ("--model.head.hidden=3", "--correlate.model.head.hidden or --predict.model.head.hidden"),
        ("--optimizer.lr=3", "--correlate.optimizer.lr or --predict.optimizer.lr"),
        ("--trainer.accelerator=quantum", "stage correlate: trainer cannot be built"),
        ("--predict.optimizer.lr=-1", "stage predict: optimizer or lr_scheduler cannot be built"),
        ("--print_config=short", "--print_config=skip_default"),
    ],
)
def test_a_wrong_option_gets_a_guess(word: str, says: str, small: Path, tmp_path: Path, capsys: Says) -> None:
    assert says in error_of(["fit", "--recipe", str(small), "--out", str(tmp_path / "run"), word], capsys)
    assert not (tmp_path / "run").exists()


def printed(words: list[str], capsys: Says) -> str:
    capsys.readouterr()
    assert main(["fit", *words, "--print_config"]) == 0
    return capsys.readouterr().out


def test_overrides_count_wherever_they_stand(small: Path, capsys: Says) -> None:
    key, value = "--predict.model.head.hidden", "9"
    recipe = ["--recipe", str(small)]
    lines = [[key, value, *recipe], [*recipe, key, value], [f"{key}={value}", *recipe], [*recipe, f"{key}={value}"]]
    texts = {printed(words, capsys) for words in lines}
    assert len(texts) == 1 and "hidden: 9" in texts.pop()


def test_the_last_override_wins(small: Path, capsys: Says) -> None:
    assert "seed: 4" in printed(["--seed", "3", "--recipe", str(small), "--seed", "4"], capsys)


def test_the_later_recipe_wins(small: Path, tmp_path: Path, capsys: Says) -> None:
    later = tmp_path / "later.yaml"
    later.write_text("seed: 5\nstages: {predict: {model: {head: {class_path: SoftmaxHead}, loss_weights: {x: 1.0}}}}\n")
    config = yaml.safe_load(printed(["--recipe", str(small), "--recipe", str(later)], capsys))
    head = config["stages"]["predict"]["model"]["head"]
    assert config["seed"] == 5 and head["class_path"].endswith("SoftmaxHead") and "hidden" in str(head)
    assert yaml.safe_load(printed(["--recipe", str(small)], capsys))["seed"] == 7


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict", "explain", "recipes", "plugins", "data"])
def test_every_command_has_help(command: str, capsys: Says) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: pathfuse {command}")


def test_every_option_of_fit_and_every_component_is_in_the_long_help(capsys: Says) -> None:
    assert main(["fit", "--help=all"]) == 0
    text = capsys.readouterr().out
    assert "--model.fusion" in text and "SEAttention" in text
    assert max(map(len, text.splitlines())) <= 80, "words without a blank are cut nowhere"


def test_a_recipe_is_copied_once(tmp_path: Path, capsys: Says) -> None:
    target = tmp_path / "mine.yaml"
    assert main(["recipes", "copy", "corranet", str(target)]) == 0
    assert "corranet" not in error_of(["recipes", "copy", "corranet", str(target)], capsys).replace(str(tmp_path), "")
    assert "cannot be written" in error_of(["recipes", "copy", "corranet", str(target / "x.yaml")], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_the_demo_cohort_is_written_and_checks(tmp_path: Path, capsys: Says) -> None:
    words = ["data", "demo", str(tmp_path / "demo"), "--patients", "12", "--size_px", "32"]
    assert main(words) == 0 and "written" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "demo")]) == 0
    next(iter((tmp_path / "demo").rglob("*.png"))).write_bytes(b"")
    assert main(["data", "check", str(tmp_path / "demo")]) == 1


@pytest.mark.parametrize("where", ["below a file", "is a file"])
def test_a_folder_that_cannot_be_made_is_named_before_training(
    where: str, small: Path, tmp_path: Path, capsys: Says
) -> None:
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "run" if where == "below a file" else tmp_path / "file"
    assert str(out) in error_of_fit(["fit", "--recipe", str(small), "--out", str(out)], capsys)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for some of a run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_ends_in_one_line_and_leaves_whole_files(
    small: Path, tiny_disk: Path, tmp_path: Path, capsys: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_disk / "run"
    assert main(["fit", "--recipe", str(small), "--out", str(run)]) == 2
    error = capsys.readouterr().err
    assert "No space left" in error and str(run) in error and error.count("\n") == 1
    for path in run.rglob("*.ckpt"):
        torch.load(path, weights_only=True)
    assert not [path for path in run.rglob(".*")]
    # With room again, the run goes on.
    shutil.copytree(run, tmp_path / "moved")
    assert main(["fit", "--resume", str(tmp_path / "moved")]) == 0
    # Its predictions do not fit on the full disk either.
    (tiny_disk / "filling").write_bytes(b"")
    with suppress(OSError), (tiny_disk / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    capsys.readouterr()
    out = tiny_disk / "out"
    assert main(["predict", str(tmp_path / "moved"), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "No space left" in error and error.count("\n") == 1
    assert not list(tiny_disk.glob("out/*")) and not list(tiny_disk.glob("out/.*"))


@pytest.mark.parametrize("answer", ["no name server", "no route"])
def test_hub_weights_without_a_network_name_the_other_two(
    answer: str, small: Path, tmp_path: Path, capsys: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution") if answer[3] == "n" else OSError(101, answer)

    monkeypatch.setattr("socket.getaddrinfo", fail)
    monkeypatch.setattr("socket.socket.connect", fail)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    words = ["--predict.model.encoder.backbone.name=resnet18", "--predict.model.encoder.backbone.weights=hub"]
    error = error_of_fit(["fit", "--recipe", str(small), "--out", str(tmp_path / "run"), *words], capsys)
    assert "hub" in error and "random" in error and "path" in error
    assert not (tmp_path / "run").exists()


def error_of_fit(words: list[str], capsys: Says) -> str:
    """The error line of a fit that may have said something about its data before."""
    assert main(words) == 2
    printed = capsys.readouterr()
    assert "epoch" not in printed.out and printed.err.count("\n") == 1
    return printed.err
