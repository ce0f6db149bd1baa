"""The page of a comparison: its answer first, and what chance reaches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.evaluate.compare.compare import compare_runs
from pathfuse.evaluate.compare.files import read_comparison, write_comparison
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.report.comparison_page import comparison_page
from pathfuse.report.page import as_data
from pathfuse.report.write import write_comparison_report
from tests.evaluate.runs import write_run
from tests.report.reading import beside, read

FAST = CompareOptions(draws=200, permutations=200)


def test_a_comparison_is_read_back_as_it_was(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    comparison = compare_runs(read_runs(runs), FAST)
    write_comparison(tmp_path, comparison)
    write_comparison_report(comparison, tmp_path / "report.html")
    before = as_data(comparison_page(comparison))
    assert as_data(comparison_page(read_comparison(tmp_path))) == before
    content = beside(tmp_path / "report.html")
    assert content["sections"]["differences"]["pairs"][0]["p_permutation"] == comparison.differences[0].p_permutation


def test_a_comparison_opens_with_its_answer_one_plot_and_one_table(compared: Path) -> None:
    found = read(compared)
    answer = beside(compared)["comparison"]["answer"]
    assert answer.startswith("From H&E and IHC together, ") and found.text.count(answer) == 1
    assert found.text.index(answer) < found.text.index("Metrics with intervals over patients")
    assert len(found.all("svg")) == 1
    for key in ("balanced_accuracy", "auroc"):
        assert key not in found.text.replace(json.dumps(answer), "")


def test_compare_writes_its_page_and_report_writes_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(write_run(tmp_path / name, seed=seed)) for seed, name in enumerate("ab")]
    out = tmp_path / "out"
    assert main(["compare", *runs, "--out", str(out), "--draws", "100", "--permutations", "100"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.csv", "comparison.json", "comparison.md", "report.html", "report.json",
    ]  # fmt: skip
    first = (out / "report.html").read_bytes()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_bytes() == first
    assert str(out / "report.html") in capsys.readouterr().out
    # One run alone is compared with itself, by the stains that it is given.
    both = str(write_run(tmp_path / "both", subsets=("he", "he+ihc")))
    assert main(["compare", both, "--out", str(tmp_path / "own"), "--draws", "50", "--permutations", "50"]) == 0
    assert "both, by what it is given" in read(tmp_path / "own" / "report.html").text


def test_a_comparison_has_the_lines_of_chance_and_of_the_most_frequent_class(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed, subsets=("he", "he+ihc")) for seed, name in enumerate("ab")]
    write_comparison_report(compare_runs(read_runs(runs), FAST), tmp_path / "report.html")
    rows = beside(tmp_path / "report.html")["sections"]["answer"]["values"]
    assert [row["run"] for row in rows[-2:]] == ["chance (even draw)", "majority (always 0)"]
    assert [(row["balanced_accuracy"], row["auroc"], row["n_cases"]) for row in rows[-2:]] == [(0.25, 0.5, 40)] * 2
    text = read(tmp_path / "report.html").text
    assert "chance (even draw)" in text and "from H&E alone" in text and "he+ihc" not in text


def test_a_damaged_comparison_and_a_wrong_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "comparison.json").write_text('{"comparison": {}}')
    assert main(["report", str(tmp_path)]) == 2
    assert "comparison.json cannot be read" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "is no folder" in capsys.readouterr().err
    folder = write_run(tmp_path / "run")
    assert main(["report", str(folder), "--out", str(tmp_path / "page.pdf")]) == 2
    assert "ends in .html" in capsys.readouterr().err
