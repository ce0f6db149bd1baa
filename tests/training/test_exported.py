"""A trained run as a folder to hand on: it predicts as the run does, holds no pickle, and says what it is."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

import pathfuse
from pathfuse.cli import main
from pathfuse.core import Batch
from pathfuse.evaluate.names import given_name
from pathfuse.runs.folder import RunFolder
from tests.training.conftest import Run


def probabilities(folder: Path) -> dict[str, list[float]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        f"{row['case_id']} {row['subset']}": [float(row[key]) for key in row if key.startswith(("p_", "calibrated_"))]
        for row in rows
    }


def test_a_run_becomes_a_folder_that_predicts_the_same_elsewhere(
    fit: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit("run")
    cases = tmp_path / "cohort" / "cases.csv"
    assert main(["predict", str(run), "--cases", str(cases), "--out", str(tmp_path / "own")]) == 0
    out, elsewhere = tmp_path / "model", tmp_path / "elsewhere" / "her2"
    capsys.readouterr()
    assert main(["export", str(run), "--to", "folder", "--out", str(out)]) == 0
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert set(capsys.readouterr().out.split()) == {str(out / name) for name in names}
    assert names >= {
        "config.yaml", "spec.json", "labels.json", "preprocessing.json", "metrics.json", "weights.json",
        "versions.json", "README.md", "checkpoints/predict/best.safetensors",
    }  # fmt: skip
    assert {Path(name).suffix for name in names} == {
        ".yaml",
        ".json",
        ".md",
        ".safetensors",
    }  # nothing that is a pickle
    own = pathfuse.load(run)
    elsewhere.parent.mkdir()
    shutil.move(out, elsewhere)
    shutil.move(run, tmp_path / "gone")
    model = pathfuse.load(elsewhere)
    images = torch.rand(3, 3, 32, 32)
    batch = Batch.of_images(model.spec, {"he": images})
    assert_close(model(batch).logits, own(batch).logits, atol=1e-5, rtol=1e-5)
    assert main(["predict", str(elsewhere), "--cases", str(cases), "--out", str(tmp_path / "theirs")]) == 0
    theirs = probabilities(tmp_path / "theirs")
    assert theirs.keys() == probabilities(tmp_path / "own").keys()
    for case, values in probabilities(tmp_path / "own").items():
        assert theirs[case] == pytest.approx(values, abs=1e-5)


def test_the_folder_says_what_it_is_and_nothing_of_the_machine_it_comes_from(fit: Run, tmp_path: Path) -> None:
    run, out = fit("run"), tmp_path / "model"
    assert main(["export", str(run), "--to", "folder", "--out", str(out)]) == 0
    for path in out.rglob("*"):
        if path.suffix in (".yaml", ".json", ".md"):
            assert str(tmp_path) not in path.read_text(encoding="utf-8"), path.name
    card = (out / "README.md").read_text(encoding="utf-8")
    metrics = json.loads((run / "metrics.json").read_text())
    trained = RunFolder.open(run).shown.trained(metrics)
    for given, values in metrics.items():
        line = f"| {given_name(given)} | {values['n_cases']} ({values['n_patients']}) | "
        assert (f"{line}{values['test/balanced_accuracy']:.3f}" in card) == (given in trained)
    for part in ("## Intended use", "no medical device", "## Licence", "test_resnet, random numbers: needs none"):
        assert part in card
    assert json.loads((out / "labels.json").read_text())["classes"] == {"0": "0", "1": "1+", "2": "2+", "3": "3+"}
    options = json.loads((out / "preprocessing.json").read_text())
    assert options["data"].endswith("PairedPatches") and options["options"]["size_px"] == 32
    tensors = load_file(out / "checkpoints" / "predict" / "best.safetensors")
    assert all(torch.isfinite(value).all() for value in tensors.values() if value.is_floating_point())


def test_what_cannot_be_exported_is_one_line(fit: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("here")
    capsys.readouterr()
    assert main(["export", str(run), "--to", "folder", "--out", str(tmp_path / "full")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--to", "folder", "--out", str(tmp_path / "new")]) == 2
    assert "is no run folder" in capsys.readouterr().err
    once = tmp_path / "once"
    assert main(["export", str(run), "--to", "folder", "--out", str(once)]) == 0
    assert main(["export", str(once), "--to", "folder", "--out", str(tmp_path / "new")]) == 2
    assert "is an exported model already. Copy the folder as it is." in capsys.readouterr().err
    (run / "checkpoints" / "predict" / "best.ckpt").write_bytes(b"damaged")
    assert main(["export", str(run), "--to", "folder", "--out", str(tmp_path / "new")]) == 2
    assert "is not the file that the run wrote" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert main(["export", str(run), "--to", "nowhere", "--out", str(tmp_path / "new")]) == 2
