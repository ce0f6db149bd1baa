"""A run folder: what is written is read back, once, and an edited file is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathfuse.errors import RunError
from pathfuse.runs.files import TextFiles, folders_with
from pathfuse.runs.folder import RunFolder
from tests.evaluate.runs import edit, write_run


def test_a_file_is_read_once_and_again_after_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"n": 1}')
    folder = TextFiles(tmp_path)
    assert folder.json("a.json") == {"n": 1}
    (tmp_path / "a.json").write_text('{"n": 2}')
    assert folder.json("a.json") == {"n": 1} and TextFiles(tmp_path).json("a.json") == {"n": 2}
    folder.write_json("a.json", {"n": 3})
    assert folder.json("a.json") == json.loads((tmp_path / "a.json").read_text()) == {"n": 3}


def test_what_is_not_there_is_empty_until_it_is_written(tmp_path: Path) -> None:
    folder = TextFiles(tmp_path / "new")
    assert not folder.has("a.csv") and folder.lines("a.csv") == [] and folder.json("a.json") == {}
    folder.write_lines("a.csv", ["name", "n"], [['of "two"\nlines', 1], ["none", None]])
    assert folder.has("a.csv")
    again = TextFiles(tmp_path / "new").lines("a.csv")
    assert folder.lines("a.csv") == again == [{"name": 'of "two"\nlines', "n": "1"}, {"name": "none", "n": ""}]


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000], ids=range(4))
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(RunError, match=r"metrics\.json .*Restore the file") as caught:
        _ = RunFolder(tmp_path).metrics
    assert "\n" not in str(caught.value)


def test_the_recipe_of_a_run_is_plain_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("# small, resolved\nseed: 7\n")
    assert (RunFolder.open(tmp_path).config, RunFolder(tmp_path).name) == ({"seed": 7}, "small")
    assert (RunFolder(tmp_path / "other").config, RunFolder(tmp_path / "other").name) == ({}, "other")
    (tmp_path / "config.yaml").write_text("a: &x [1]\nb: *x\n")
    with pytest.raises(RunError, match=r"config\.yaml line 2 .*aliases"):
        _ = RunFolder(tmp_path).config


def test_an_edited_file_of_predictions_breaks_its_seal(tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run"))
    assert run.tested and not run.sealed and run.predictions.classes == ("0", "1+", "2+", "3+")
    run.seal_files("predictions.csv")
    assert run.sealed and RunFolder(run.path).sealed
    edit(run.path, "c0003", "c9999")
    assert not RunFolder(run.path).sealed
    with pytest.raises(RunError, match="is not the file that the run wrote"):
        _ = RunFolder(run.path).predictions


def test_a_checkpoint_belongs_to_the_run_that_it_lies_in(tmp_path: Path) -> None:
    run = RunFolder.of_checkpoint(tmp_path / "run" / "checkpoints" / "train" / "best.ckpt")
    assert run == RunFolder(tmp_path / "run")
    assert RunFolder.of_checkpoint(tmp_path / "run" / "best.ckpt") is None


def test_the_shallowest_folders_that_have_a_file_are_found(tmp_path: Path) -> None:
    for place in ("b/seed1", "a/seed1", "a/seed1/test", "deep/er/est"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "predictions.csv").touch()
    found = folders_with("predictions.csv", tmp_path, range(4))
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/seed1", "b/seed1"]
    assert folders_with("predictions.csv", tmp_path / "a/seed1", range(4)) == [tmp_path / "a/seed1"]
    assert folders_with("predictions.csv", tmp_path / "a/seed1", range(1, 4)) == [tmp_path / "a/seed1/test"]
    assert folders_with("predictions.csv", tmp_path, range(1)) == []


def test_looking_at_run_folders_imports_no_torch(tmp_path: Path) -> None:
    """A worker of a study looks at them before it says how many threads torch may use."""
    import subprocess
    import sys

    code = (
        "import sys, pathlib; from pathfuse.runs.folder import RunFolder; "
        "assert not RunFolder(pathlib.Path(sys.argv[1])).sealed; "
        "assert not {'torch', 'numpy', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
