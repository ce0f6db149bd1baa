"""Comparison of runs from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import pathfuse
from pathfuse.cli import main
from tests.evaluate.runs import write_run

FEW = {"draws": 60, "permutations": 60}


def test_python_and_the_command_line_find_and_write_the_same(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    found = pathfuse.compare(*runs, baseline=runs[1], metrics=["auroc"], **FEW, out=tmp_path / "python")
    words = ["--baseline", str(runs[1]), "--metric", "auroc", "--draws", "60", "--permutations", "60"]
    assert main(["compare", *map(str, runs), *words, "--out", str(tmp_path / "command")]) == 0
    files = {path.name for path in (tmp_path / "command").iterdir()}
    assert files == {path.name for path in (tmp_path / "python").iterdir()}
    for name in files - {"report.html"}:
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "command" / name).read_bytes(), name
    assert isinstance(found, pathfuse.Comparison) and found.options.baseline == "b"
    assert {one.baseline for one in found.differences} == {"b"} and found.answer


def test_one_run_is_compared_with_itself_and_nothing_is_written(tmp_path: Path) -> None:
    run = write_run(tmp_path / "both", subsets=("he", "he+ihc"))
    before = sorted(tmp_path.rglob("*"))
    assert pathfuse.compare(run, **FEW).within == "both"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"permutations": 0}, {"level": 1.0}])
def test_a_number_out_of_range_is_named(tmp_path: Path, wrong: dict[str, float]) -> None:
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    ((name, value),) = wrong.items()
    with pytest.raises(pathfuse.PathfuseError, match=f"{name}={value}.*give at least one"):
        pathfuse.compare(*runs, **wrong)


def test_nothing_to_compare_is_one_line() -> None:
    with pytest.raises(pathfuse.PathfuseError):
        pathfuse.compare()
