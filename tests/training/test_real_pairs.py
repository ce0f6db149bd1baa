"""The demo's sizes on real H&E/IHC pairs, where they are at hand."""

import json
from pathlib import Path

import pytest

from pathfuse.cli import main
from tests.conftest import DATA, needs_data


@needs_data
def test_corr_a_net_trains_on_real_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = ["fit", "--recipe", "corranet", "--layer", "demo", f"--cohort.cases={DATA / 'bci_thumbs'}"]
    assert main([*words, "--trainer.max_epochs=1", "--data.size_px=64", "--out", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "test: 5 cases" in printed and "train: 1" in printed
    assert "split word in the file names is ignored" in printed
    assert "patches of one slide may lie in two parts" in printed
    assert "Class 0 is too small" in printed
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics) == ["he", "ihc", "he+ihc"] and metrics["he"]["n_cases"] == 5
    # The name of a file holds its score; no case id may carry it on.
    assert all("+" not in line.split(",")[0] for line in (out / "splits.csv").read_text().splitlines())
