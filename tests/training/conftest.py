"""Training through the real entry point, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.training.reported import for_report

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
