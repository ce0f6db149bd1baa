"""Every file of a run is opened once by a command."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pathfuse.cli import main
from tests.report.runs import write_study, write_whole_run

# An audit hook cannot be taken away again, so there is one, and it counts only while somebody looks.
_looking: list[tuple[Path, Counter[str]]] = []


def _look(event: str, args: tuple[object, ...]) -> None:
    if event != "open" or not _looking or not isinstance(args[0], str | bytes | os.PathLike):
        return
    folder, found = _looking[-1]
    path, flags = Path(os.fsdecode(args[0])), args[2]
    reads = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) == 0
    if reads and path.is_relative_to(folder) and not path.is_dir():
        found[path.relative_to(folder).as_posix()] += 1


sys.addaudithook(_look)


@contextmanager
def reads_of(folder: Path) -> Iterator[Counter[str]]:
    """How often each file below a folder is opened for reading within the block."""
    _looking.append((folder, Counter()))
    try:
        yield _looking[-1][1]
    finally:
        _looking.pop()


def more_than_once(found: Counter[str]) -> dict[str, int]:
    # What is hashed before it takes its place has a name that begins with a dot, the same in every epoch.
    return {name: count for name, count in found.items() if count > 1 and not Path(name).name.startswith(".")}


def test_the_count_sees_every_way_of_opening(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with reads_of(tmp_path) as found:
        (tmp_path / "a").read_text()
        (tmp_path / "a").read_bytes()
        with (tmp_path / "a").open("rb"):
            pass
        os.close(os.open(tmp_path / "a", os.O_RDONLY))
        (tmp_path / "b").write_text("b")
    assert found == {"a": 4}


def test_a_report_reads_every_file_of_a_run_once(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path / "run")
    with reads_of(run) as found:
        assert main(["report", str(run)]) == 0
    assert not more_than_once(found)
    assert {"predictions.csv", "metrics.json", "versions.json", "config.yaml", "cohort.json", "splits.csv"} <= set(
        found
    )


def test_a_report_of_a_study_reads_every_file_once(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    with reads_of(study) as found:
        assert main(["report", str(study)]) == 0
    assert not more_than_once(found) and "runs.csv" in found


def test_a_comparison_reads_every_file_of_its_runs_once(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_whole_run(tmp_path / "runs" / name, seed=seed, subsets=("he",))
    few = ["--draws", "20", "--permutations", "20", "--out", str(tmp_path / "compared")]
    with reads_of(tmp_path / "runs") as found:
        assert main(["compare", *(str(tmp_path / "runs" / name) for name in "ab"), *few]) == 0
    assert not more_than_once(found)
    assert {f"{name}/{file}" for name in "ab" for file in ("predictions.csv", "splits.csv", "versions.json")} == set(
        found
    )


def test_a_fit_and_every_command_on_its_run_read_every_file_of_it_once(small: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with reads_of(run) as found:
        assert main(["fit", "--recipe", str(small), "--data.size_px=64", "--out", str(run)]) == 0
    assert not more_than_once(found)
    assert {name for name in found if name.endswith(".ckpt")} == {
        "checkpoints/correlate/best.ckpt",
        "checkpoints/predict/best.ckpt",
    }
    for command in ("test", "predict", "validate", "explain"):
        with reads_of(run) as found:
            assert main([command, str(run), "--out", str(tmp_path / command)]) == 0
        assert not more_than_once(found), command
        assert {"config.yaml", "spec.json"} <= set(found)
        assert [name for name in found if name.endswith(".ckpt")] == ["checkpoints/predict/best.ckpt"]
