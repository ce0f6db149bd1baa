"""Training through the real entry point, in this process."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.training.reported import for_report
from tests.cohort.natural import NAMES, bag_recipe, stores, table

Run = Callable[..., Path]


@pytest.fixture
def page() -> None:
    """Asks for the page at the end of every run."""


@pytest.fixture(autouse=True)
def without_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without their page where a test does not ask for it: drawing it takes a quarter of such a run."""
    if "page" not in request.fixturenames:
        monkeypatch.setattr(for_report, "draw_page", lambda run, _: run.path / "report.html")


@pytest.fixture
def fit(small: Path, tmp_path: Path) -> Run:
    """Calls `pathfuse fit --recipe small.yaml ... --out NAME` and returns the run folder."""

    def call(name: str, *words: str) -> Path:
        out = tmp_path / name
        assert main(["fit", "--recipe", str(small), "--out", str(out), *words]) == 0
        return out

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features, labels and `run`, which was trained for an epoch on relative sources, logged as CSV."""
    folder = tmp_path_factory.mktemp("trained")
    bag_recipe(folder)
    stores(folder)
    table(folder / "labels.csv", "case_id,label", [f"{name},{'ab'[k % 2]}" for k, name in enumerate(NAMES)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PATHFUSE_RUN", raising=False)
        line = "fit --recipe bags.yaml --cases labels.csv --stores '{he: he}' --out run --trainer.logger csv"
        assert main(shlex.split(line)) == 0
    return folder
