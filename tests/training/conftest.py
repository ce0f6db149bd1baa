"""Training through the real entry point, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pathfuse.cli import main

Run = Callable[..., Path]


@pytest.fixture
def fit(small: Path, tmp_path: Path) -> Run:
    """Calls `pathfuse fit --recipe small.yaml ... --out NAME` and returns the run folder."""

    def call(name: str, *words: str) -> Path:
        out = tmp_path / name
        assert main(["fit", "--recipe", str(small), "--out", str(out), *words]) == 0
        return out

    return call
