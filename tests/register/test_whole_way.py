"""From two slides of every patient to predictions, each line as a user types it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from pathfuse.cli import main

# What makes the model small; a user leaves it away.
SMALL = ["--data.size_px=32", "--correlate.trainer.max_epochs=1", "--predict.trainer.max_epochs=1"]
SMALL += ["--predict.model.encoder.backbone.name=test_resnet", "--loading.batch_size=8"]


def test_registered_slides_become_pairs_a_model_and_predictions(registered: Path, tmp_path: Path) -> None:
    pairs, run, out = (str(tmp_path / name) for name in ("pairs", "run", "predicted"))
    assert main(["pairs", str(registered), "--patch-px", "96", "--mpp", "1", "--out", pairs]) == 0
    with (tmp_path / "pairs" / "cases.csv").open() as file:
        cut = list(csv.DictReader(file))
    assert {row["patient_id"] for row in cut} == {"P0000", "P0001", "P0002"}
    assert main(["fit", "--recipe", "corranet", "--layer", "demo", "--cases", pairs, "--out", run, *SMALL]) == 0
    assert main(["predict", run, "--out", out]) == 0
    with (tmp_path / "predicted" / "predictions.csv").open() as file:
        predicted = [row for row in csv.DictReader(file)]
    assert {row["case_id"] for row in predicted} <= {row["case_id"] for row in cut}
    shares = [[float(value) for key, value in row.items() if key.startswith("p_")] for row in predicted]
    np.testing.assert_allclose(np.sum(shares, axis=1), 1, atol=1e-4)
