from __future__ import annotations

from pathlib import Path

import pytest

from pathfuse.cli import main
from tests.register.small import cohort


@pytest.fixture(scope="session")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case table of three patients."""
    return cohort(tmp_path_factory.mktemp("serial"))


@pytest.fixture(scope="session")
def registered(serial: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, registered by the command line."""
    pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")
    out = tmp_path_factory.mktemp("registered") / "reg"
    points = serial.parent / "truth" / "points" / "{case}.csv"
    line = ["register", str(serial), "--fixed", "he", "--moving", "ihc", "--out", str(out), "--landmarks", str(points)]
    assert main(line) == 0
    return out
