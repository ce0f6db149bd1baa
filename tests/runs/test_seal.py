"""The seal of a run names what it wrote, and tells what took its place."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pathfuse.errors import RunError
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.seal import BLOCK, Seal, digest_of


def with_checkpoints(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    for stage in ("first", "last"):
        run.checkpoints(stage).mkdir(parents=True)
        (run.checkpoints(stage) / "best.ckpt").write_bytes(stage.encode())
        run.seal_checkpoints(stage, {})
    return run


def test_files_are_sealed_one_by_one_and_together(tmp_path: Path) -> None:
    run = with_checkpoints(tmp_path)
    run.write_json("metrics.json", {"he": {}})
    run.write("predictions.csv", "a\n")
    run.seal_files("metrics.json", "predictions.csv", "calibration.json")
    names = ["checkpoints/first/best.ckpt", "checkpoints/last/best.ckpt", "metrics.json", "predictions.csv"]
    assert RunFolder(tmp_path).seal.names() == names
    assert RunFolder(tmp_path).metrics == {"he": {}} and RunFolder(tmp_path).sealed
    run.refuse_replaced()


@pytest.mark.parametrize("name", ["metrics.json", "calibration.json"])
def test_an_edited_result_is_not_read(name: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_json(name, {"a": 1})
    run.seal_files(name)
    (tmp_path / name).write_text('{"a": 2}')
    with pytest.raises(RunError, match=f"{name} is not the file that the run wrote.*test again"):
        RunFolder(tmp_path).sealed_json(name)


def test_a_replaced_checkpoint_is_not_opened(tmp_path: Path) -> None:
    run = with_checkpoints(tmp_path)
    checkpoint = run.selected("last")
    with run.loadable(checkpoint) as file:
        assert file.read() == b"last"
    checkpoint.write_bytes(b"lost")
    for look in (lambda: run.loadable(checkpoint), run.refuse_replaced):
        with pytest.raises(RunError, match=r"last/best\.ckpt is not the file .*train again with another --out"):
            look()


def test_what_is_handed_over_is_sealed_as_it_was_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints("train").mkdir(parents=True)
    path = run.checkpoints("train") / "best.ckpt"
    written = digest_of(io.BytesIO(b"written"))
    path.write_bytes(b"replaced since")
    run.seal_checkpoints("train", {path.resolve(): written})
    with pytest.raises(RunError, match="is not the file that the run wrote"):
        run.loadable(path)


def test_a_link_to_the_checkpoint_of_another_run_is_noticed(tmp_path: Path) -> None:
    run, other = with_checkpoints(tmp_path / "one"), with_checkpoints(tmp_path / "two")
    (other.selected("last")).write_bytes(b"other")
    other.seal_checkpoints("last", {})
    run.selected("last").unlink()
    (run.checkpoints("last") / "best.ckpt").symlink_to(other.selected("last"))
    of = RunFolder.of_checkpoint(run.selected("last"))
    assert of is not None and of.path == run.path.resolve()
    with pytest.raises(RunError, match="is not the file that the run wrote"):
        of.loadable(run.selected("last"))


def test_a_broken_seal_is_dropped_before_a_file_is_made_again(tmp_path: Path) -> None:
    run = with_checkpoints(tmp_path)
    run.seal.drop(["checkpoints/last/best.ckpt", "checkpoints/none/best.ckpt"])
    run.selected("last").write_bytes(b"half")
    run.loadable(run.selected("last")).close()
    assert run.seal.names() == ["checkpoints/first/best.ckpt"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"sha256": []}', '{"sha256": {"a": 1}}', "[" * 100_000], ids=range(7)
)
def test_a_damaged_seal_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "seal.json").write_text(text)
    with pytest.raises(RunError, match=r"seal\.json cannot be read .*Restore it, or remove it") as caught:
        Seal(tmp_path).of("metrics.json")
    assert "\n" not in str(caught.value)


def test_a_digest_covers_every_byte() -> None:
    content = bytearray(2 * BLOCK + 7)
    before = digest_of(io.BytesIO(content))
    for place in (0, BLOCK, 2 * BLOCK + 6):
        content[place] ^= 1
        assert digest_of(io.BytesIO(content)) != before
        content[place] ^= 1
