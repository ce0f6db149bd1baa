"""What a fit chooses on the validation part, and what test and predict make of it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pathfuse.cli import main
from pathfuse.evaluate.calibrate.file import CALIBRATION, ENOUGH, Calibrators
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import read_predictions
from tests.conftest import CLASSES

ONE_STAGE = """
cohort: {cases: CASES}
data:
  class_path: PairedPatches
  init_args: {size_px: 16, normalise: []}
loading: {batch_size: 64, num_workers: 0}
model:
  encoder:
    class_path: PerStainImageEncoder
    init_args: {backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, weights: random}}}
  fusion: {class_path: MeanFusion}
  head: {class_path: ConfidenceHead}
  loss_weights: {classification: 1.0, confidence: 1.0}
trainer: {max_epochs: 1}
"""
VALIDATED = 60


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy labels, so that there are errors; every class in every part; IHC of half of the validation part only."""
    folder, rng, rows = tmp_path_factory.mktemp("cohort"), np.random.default_rng(0), []
    parts = ["train"] * 60 + ["val"] * VALIDATED + ["test"] * 40
    for number, part in enumerate(parts):
        label = number % 4
        for stain in ("he", "ihc") if part != "val" or number % 2 else ("he",):
            path = folder / f"{stain}_{number:03d}.png"
            noise = rng.normal(60 + 40 * label, 60) + rng.normal(0, 10, (16, 16, 3))
            Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(path)
            rows.append([f"c{number:03d}", f"p{number:03d}", stain, path.name, CLASSES[label], part])
    file = folder / "cases.csv"
    with file.open("w", newline="") as text:
        csv.writer(text).writerows([["case_id", "patient_id", "modality", "path", "label", "split"], *rows])
    (folder / "one.yaml").write_text(ONE_STAGE.replace("CASES", str(file)))
    return file


def fit(table: Path, out: Path, *words: str) -> Path:
    assert main(["fit", "--recipe", str(table.with_name("one.yaml")), "--out", str(out), *words]) == 0
    return out


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Risk and coverage as a model of one epoch can reach them."""
    place = tmp_path_factory.mktemp("runs") / "run"
    words = ["--model.target_risk=0.6", "--model.set_coverage=0.8", "--cohort.missing=allow"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place.parent / "cache"))
        patch.delenv("PATHFUSE_RUN", raising=False)
        return fit(table, place, *words)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_validation_part_is_what_was_calibrated_on(run: Path) -> None:
    content = json.loads((run / CALIBRATION).read_text())
    assert (content["part"], content["checkpoint"], content["classes"]) == ("val", "train/best.ckpt", list(CLASSES))
    # 60 patients have H&E, 30 of them IHC as well: only H&E alone has enough for a calibration of its own.
    assert list(content["subsets"]) == ["he"] and str(ENOUGH) in content["rule"]
    assert (content["subsets"]["he"]["cases"], content["subsets"]["he"]["patients"]) == (60, 60)
    assert (content["pooled"]["cases"], content["pooled"]["patients"]) == (60 + 30 + 30, 60)
    for own in (content["pooled"], content["subsets"]["he"]):
        assert own["temperature"]["value"] > 0  # where the report looks for it
        assert own["sets"]["miss"] == 0.2 and own["sets"]["ordered"] and own["abstention"]["target_risk"] == 0.6


def test_predictions_have_calibrated_columns_behind_those_of_the_model(run: Path) -> None:
    written = rows(run / "predictions.csv")
    names = list(written[0])
    assert names[-6:] == [*(f"cal_{name}" for name in CLASSES), "set", "abstain"]
    made = Calibrators.read(RunFolder(run))
    for row in written:
        prob = np.array([[float(row[f"p_{name}"]) for name in CLASSES]])
        own = made.of(row["subset"])
        expected = own(prob)
        assert [float(row[f"cal_{name}"]) for name in CLASSES] == pytest.approx(expected.prob[0], abs=1e-4)
        assert row["set"] == expected.set_names(CLASSES)[0] and row["predicted"] in row["set"].split("|")
        if abs(expected.confidence[0] - own.abstention.threshold) > 1e-4:
            assert row["abstain"] == str(int(expected.abstain[0]))
    assert read_predictions(run / "predictions.csv").classes == CLASSES


def test_metrics_say_what_became_of_the_promises(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    for subset, own in metrics.items():
        written = [row for row in rows(run / "predictions.csv") if row["subset"] == subset]
        wrong = np.array([row["target"] != row["predicted"] for row in written])
        kept = np.array([row["abstain"] == "0" for row in written])
        inside = np.array([row["target"] in row["set"].split("|") for row in written])
        assert own["test/abstained"] == pytest.approx(1 - kept.mean())
        assert own["test/risk_kept"] == pytest.approx(wrong[kept].mean()) if kept.any() else True
        assert own["test/set_coverage"] == pytest.approx(inside.mean())  # one case per patient
        assert own["test/set_size"] == pytest.approx(np.mean([row["set"].count("|") + 1 for row in written]))
        truth = [float(row[f"cal_{row['target']}"]) for row in written]
        assert own["test/calibrated/log_loss"] == pytest.approx(-np.log(truth).mean(), abs=1e-4)
        assert own["test/equivocal/n"] == sum(row["target"] == "2+" for row in written)
        assert {"test/ece", "test/brier", "test/aurc_softmax", "test/aurc_learned", "test/aurc_combined"} <= set(own)


def test_the_points_of_the_diagrams_lie_beside_the_metrics(run: Path) -> None:
    stages = {(row["subset"], row["stage"]) for row in rows(run / "reliability.csv")}
    assert stages == {(subset, stage) for subset in ("he", "ihc", "he+ihc") for stage in ("before", "after")}
    assert {row["score"] for row in rows(run / "risk_coverage.csv")} == {"softmax", "learned", "combined", "calibrated"}


def test_predict_and_another_test_use_the_calibration_of_the_run(run: Path, tmp_path: Path) -> None:
    assert main(["test", str(run), "--out", str(tmp_path / "tested")]) == 0
    assert (tmp_path / "tested/predictions.csv").read_text() == (run / "predictions.csv").read_text()
    assert main(["predict", str(run), "--out", str(tmp_path / "predicted")]) == 0
    assert "cal_3+" in rows(tmp_path / "predicted/predictions.csv")[0]
    last = run / "checkpoints/train/last.ckpt"
    assert main(["predict", str(run), "--ckpt_path", str(last), "--out", str(tmp_path / "other")]) == 0
    assert "set" not in rows(tmp_path / "other/predictions.csv")[0]  # chosen for other weights


def test_labels_of_the_test_part_do_not_reach_the_calibration(run: Path, table: Path, tmp_path: Path) -> None:
    other = table.with_name("shuffled.csv")
    lines = table.read_text().splitlines()
    flipped = [",".join([*line.split(",")[:4], "0", "test"]) if line.endswith(",test") else line for line in lines]
    other.write_text("\n".join(flipped) + "\n")
    words = ["--model.target_risk=0.6", "--model.set_coverage=0.8", "--cohort.missing=allow", f"--cohort.cases={other}"]
    again = fit(table, tmp_path / "run", *words)
    assert (again / CALIBRATION).read_text() == (run / CALIBRATION).read_text()


@pytest.mark.parametrize("damage", ["{", "[]", '{"pooled": 3}', "null"])
def test_a_damaged_calibration_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage) -> None:
    whole = (run / CALIBRATION).read_text()
    try:
        (run / CALIBRATION).write_text(damage)
        assert main(["predict", str(run), "--out", str(tmp_path / "x")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and CALIBRATION in error and "Restore" in error
    finally:
        (run / CALIBRATION).write_text(whole)


def test_few_validation_patients_calibrate_nothing_and_that_is_said(fit_small, capsys) -> None:
    run = fit_small("run")
    assert "labelled cases of 4 patients; from 10 on" in capsys.readouterr().out
    assert not (run / CALIBRATION).exists()
    assert "set" not in rows(run / "predictions.csv")[0]
    assert {row["stage"] for row in rows(run / "reliability.csv")} == {"before"}


@pytest.fixture
def fit_small(small: Path, tmp_path: Path):
    def call(name: str) -> Path:
        out = tmp_path / name
        assert main(["fit", "--recipe", str(small), "--out", str(out), "--trainer.max_epochs=1"]) == 0
        return out

    return call


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("--model.target_risk=1.5", "model.target_risk is 1.5"),
        ("--model.set_coverage=1", "model.set_coverage is 1.0"),
        ("--model.abstain_by=entropy", "abstain_by"),
        ("--model.select_on=he+mri", "model.select_on names 'mri'"),
    ],
)
def test_options_that_mean_nothing_are_refused(table: Path, tmp_path: Path, capsys, word: str, reason: str) -> None:
    assert main(["fit", "--recipe", str(table.with_name("one.yaml")), "--out", str(tmp_path / "x"), word]) == 2
    assert reason in capsys.readouterr().err


def test_an_epoch_is_selected_on_the_stains_that_are_asked_for(table: Path, tmp_path: Path) -> None:
    run = fit(table, tmp_path / "run", "--model.select_on=he", "--trainer.max_epochs=2", "--cohort.missing=allow")
    curve = rows(run / "curves/train.csv")
    own, usual = ([row[f"val/{name}balanced_accuracy"] for row in curve] for name in ("he/", ""))
    assert own != usual
    best = torch.load(run / "checkpoints/train/best.ckpt", weights_only=True)
    scores = [float(value) for value in own]
    assert best["epoch"] == scores.index(max(scores))


def test_selecting_on_stains_that_no_validation_case_has_is_an_error(table: Path, tmp_path: Path, capsys) -> None:
    lone = table.with_name("lone.csv")
    lines = [line for line in table.read_text().splitlines() if not (",ihc," in line and line.endswith(",val"))]
    lone.write_text("\n".join(lines) + "\n")
    words = ["--model.select_on=he+ihc", "--cohort.missing=allow", f"--cohort.cases={lone}"]
    assert main(["fit", "--recipe", str(table.with_name("one.yaml")), "--out", str(tmp_path / "x"), *words]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and "no labelled case of the validation part has all of these stains" in error


@pytest.mark.parametrize("part", ["val", "test"])
def test_one_class_in_a_part_is_no_reason_to_stop(table: Path, tmp_path: Path, part: str) -> None:
    one = table.with_name(f"one_class_{part}.csv")
    lines = table.read_text().splitlines()
    same = [",".join([*line.split(",")[:4], "2+", part]) if line.endswith(f",{part}") else line for line in lines]
    one.write_text("\n".join(same) + "\n")
    run = fit(table, tmp_path / "run", "--cohort.missing=allow", f"--cohort.cases={one}")
    own = json.loads((run / "metrics.json").read_text())["he"]
    assert own["test/auroc"] is None if part == "test" else own["test/auroc"] is not None
    assert 0 <= own["test/set_coverage"] <= 1 and own["test/temperature"] > 0
