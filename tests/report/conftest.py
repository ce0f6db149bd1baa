"""Pages of a run, a comparison and a study, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pathfuse.evaluate.compare.compare import compare_runs
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.report.write import write_comparison_report, write_report
from tests.evaluate.runs import write_run
from tests.report.runs import write_study, write_whole_run

FAST = CompareOptions(draws=200, permutations=200)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_whole_run(tmp_path_factory.mktemp("report") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    runs = [write_run(folder / name, seed=seed, subsets=("he", "he+ihc")) for seed, name in enumerate("ab")]
    write_comparison_report(compare_runs(read_runs(runs), FAST), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("study") / "study")
    write_report(folder)
    return folder / "report.html"


@pytest.fixture(params=["run", "compared", "study"])
def page(request: pytest.FixtureRequest) -> Path:
    found = request.getfixturevalue(request.param)
    return found / "report.html" if request.param == "run" else found
