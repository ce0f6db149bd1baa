import csv
import json
from pathlib import Path

import pytest
import torch
import yaml

import pathfuse
from pathfuse.cli import main
from pathfuse.core import Batch
from tests.training.conftest import Run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_recipe_of_two_stages_leaves_a_whole_run_folder(
    page: None, fit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit("run")
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert any(name.startswith("examples/") for name in found)
    assert {name for name in found if not name.startswith(("examples/", "panels/correlate/"))} == {
        "config.yaml",
        "spec.json",
        "versions.json",
        "splits.csv",
        "stages.json",
        "metrics.json",
        "predictions.csv",
        "reliability.csv",
        "risk_coverage.csv",
        "cohort.json",
        "weights.json",
        "examples.csv",
        "by_case/correlate.csv",
        "panels/correlate.csv",
        "report.html",
        "report.json",
        "methods.md",
        "seal.json",
        *(f"curves/{stage}.csv" for stage in ("correlate", "predict")),
        *(f"checkpoints/{s}/{name}.ckpt" for s in ("correlate", "predict") for name in ("best", "last")),
    }
    metrics = json.loads((run / "metrics.json").read_text())
    assert list(metrics) == ["he", "ihc", "he+ihc"]
    assert all(own["n_cases"] == own["n_patients"] == 4 for own in metrics.values())
    predictions = rows(run / "predictions.csv")
    assert {row["split"] for row in predictions} == {"test"}
    assert len(predictions) == 12
    for row in predictions:
        assert sum(float(row[f"p_{name}"]) for name in ("0", "1+", "2+", "3+")) == pytest.approx(1, abs=1e-5)
        assert row["present_ihc"] == str(int("ihc" in row["subset"]))
    by_case = rows(run / "by_case/correlate.csv")
    assert [row["case_id"] for row in by_case] == [row["case_id"] for row in predictions[:4]]
    assert all(-1 <= float(row["mean_correlation_from_he"]) <= 1 for row in by_case)
    shown = rows(run / "panels/correlate.csv")
    assert list(shown[0]) == ["target", "case_id", "he", "h(Z) from he", "ihc from he", "ihc"]
    assert all((run / "panels/correlate" / row["he"]).is_file() for row in shown)
    assert "What stage correlate knows of the pair" in (run / "report.html").read_text()
    stages = json.loads((run / "stages.json").read_text())
    assert stages["complete"] == ["correlate", "predict"] and set(stages["kept"]) == {"correlate", "predict"}
    versions = json.loads((run / "versions.json").read_text())
    assert {"pathfuse", "plugins", "torch", "recipe_sha256", "cases_sha256", "split_sha256"} <= set(versions)
    assert len(rows(run / "splits.csv")) == 16
    assert "Balanced" in capsys.readouterr().out


def test_the_saved_recipe_trains_to_the_same_predictions(fit: Run, tmp_path: Path) -> None:
    first = fit("first")
    assert main(["fit", "--recipe", str(first / "config.yaml"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "predictions.csv").read_text() == (first / "predictions.csv").read_text()
    assert (tmp_path / "again" / "curves/predict.csv").read_text() == (first / "curves/predict.csv").read_text()


def test_another_seed_gives_other_weights(fit: Run) -> None:
    assert (
        fit("a").joinpath("predictions.csv").read_text()
        != fit("b", "--seed", "8").joinpath("predictions.csv").read_text()
    )


def test_the_last_stage_is_selected_on_the_validation_part(fit: Run) -> None:
    run = fit("run", "--predict.trainer.max_epochs=3")
    curve = [
        (float(row["val/balanced_accuracy"]), -float(row["val/classification"]))
        for row in rows(run / "curves/predict.csv")
    ]
    best = torch.load(run / "checkpoints/predict/best.ckpt", weights_only=True)
    assert best["epoch"] == curve.index(max(curve))


def test_checkpoints_hold_weights_and_state_and_no_class_paths(fit: Run) -> None:
    content = torch.load(fit("run") / "checkpoints/predict/best.ckpt", weights_only=True)
    assert "hyper_parameters" not in content and "datamodule_hyper_parameters" not in content
    assert "class_path" not in repr({key: value for key, value in content.items() if key != "state_dict"})


def test_an_existing_folder_is_never_trained_over(fit: Run, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("run")
    before = (run / "predictions.csv").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["fit", "--recipe", str(small), "--out", str(run)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--resume" in error
    assert (run / "predictions.csv").stat().st_mtime_ns == before


def test_an_error_in_the_last_stage_appears_before_the_first_trains(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    for word in (
        "--predict.model.encoder.backbone.name=no_such_net",
        "--predict.model.given=[mri]",
        "--predict.model.encoder.input.checkpoint=stage:later",
        "--predict.model.fusion=NoFusion",
    ):
        assert main(["fit", "--recipe", str(small), "--out", str(out), word]) == 2
        assert not out.exists()
        assert "epoch" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ('{"classification": 1.0}', "no weight for confidence"),
        ('{"classification": 1.0, "confidence": 1.0, "clasification": 1.0}', "no loss term is called clasification"),
    ],
)
def test_loss_terms_and_weights_that_do_not_match_are_an_error_before_anything_is_written(
    weights: str, said: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["fit", "--recipe", str(small), "--out", str(out), f"--predict.model.loss_weights={weights}"]) == 2
    error = capsys.readouterr().err
    assert said in error and "stage predict: " in error and not out.exists()


def test_without_a_validation_part_the_last_epoch_is_taken(
    fit: Run, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases.write_text(cases.read_text().replace(",val", ",train"))
    run = fit("run", "--cohort.val_fraction=0")
    assert "its last epoch is taken" in capsys.readouterr().out
    assert not (run / "checkpoints/predict/best.ckpt").exists()
    assert json.loads((run / "metrics.json").read_text())["he"]["n_cases"] == 4


def test_load_predicts_what_the_run_predicted(fit: Run) -> None:
    run = fit("run")
    model = pathfuse.load(run)
    assert not model.training and model.spec is not None and model.reads == ("he", "ihc")
    images = torch.rand(2, 3, 32, 32)
    alone = model(Batch.of_images(model.spec, {"he": images}))
    assert alone.logits.shape == (2, 4) and alone.confidence.shape == (2,)
    again = pathfuse.load(str(run))(Batch.of_images(model.spec, {"he": images}))
    assert torch.equal(alone.logits, again.logits)


def test_new_cases_are_predicted_without_labels_and_without_ihc(fit: Run, cases: Path, tmp_path: Path) -> None:
    run = fit("run")
    table = cases.with_name("new.csv")
    lines = [line for line in cases.read_text().splitlines() if ",ihc," not in line]
    table.write_text("\n".join(",".join(line.split(",")[:4]) for line in lines) + "\n")
    out = tmp_path / "new"
    assert main(["predict", str(run), "--cohort.cases", str(table), "--out", str(out)]) == 0
    new = rows(out / "predictions.csv")
    assert len(new) == 16 and {row["target"] for row in new} == {""} and {row["subset"] for row in new} == {"he"}
    known = {row["case_id"]: row["p_3+"] for row in rows(run / "predictions.csv") if row["subset"] == "he"}
    assert {row["case_id"]: row["p_3+"] for row in new if row["case_id"] in known} == known


def test_an_external_cohort_is_tested_whole_and_patients_that_the_model_knows_are_said_loudly(
    fit: Run, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = fit("run"), tmp_path / "external"
    capsys.readouterr()
    assert main(["test", str(run), "--cohort.cases", str(cases), "--out", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text())["he"]["n_cases"] == 16
    said = capsys.readouterr().out
    assert "WARNING: 12 of 16 test patients have the id of one that the model was trained or selected on" in said
    # New patients, and the test part of the run itself, are nothing to warn of.
    table = cases.with_name("others.csv")
    table.write_text(cases.read_text().replace(",p0", ",q0"))
    assert main(["test", str(run), "--cohort.cases", str(table), "--out", str(tmp_path / "others")]) == 0
    assert main(["test", str(run), "--out", str(tmp_path / "own")]) == 0
    assert "WARNING" not in capsys.readouterr().out


def test_testing_a_run_again_gives_its_own_numbers(fit: Run, tmp_path: Path) -> None:
    run, out = fit("run"), tmp_path / "again"
    assert main(["test", str(run), "--out", str(out)]) == 0
    assert (out / "metrics.json").read_text() == (run / "metrics.json").read_text()
    assert (out / "predictions.csv").read_text() == (run / "predictions.csv").read_text()


def test_results_in_a_folder_of_their_own_say_what_made_them_and_are_sealed(
    fit: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = fit("run"), tmp_path / "again"
    assert main(["test", str(run), "--out", str(out)]) == 0
    said, own = (json.loads((folder / "versions.json").read_text()) for folder in (out, run))
    for key in ("pathfuse", "torch", "recipe_sha256", "cases_sha256"):
        assert said[key] == own[key], key
    assert (said["run"], said["checkpoint"]) == ("run", "predict/best.ckpt")
    assert main(["compare", str(run), str(out), "--draws", "20", "--permutations", "20", "--out", str(tmp_path)]) == 0
    (out / "predictions.csv").write_text((out / "predictions.csv").read_text() + "\n")
    assert main(["compare", str(run), str(out)]) == 2
    assert "is not the file that the run wrote" in capsys.readouterr().err


def test_validating_a_run_prints_the_metric_that_selected_it(fit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("run")
    best = max(float(row["val/balanced_accuracy"]) for row in rows(run / "curves/predict.csv"))
    capsys.readouterr()
    assert main(["validate", str(run)]) == 0
    assert f"val/balanced_accuracy  {best:.4f}" in capsys.readouterr().out


def test_a_printed_recipe_prints_itself_again(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--print_config", "--recipe", str(small), "--predict.model.head.hidden=9"]) == 0
    whole = capsys.readouterr().out
    assert yaml.safe_load(whole)["stages"]["predict"]["model"]["head"]["init_args"]["hidden"] == 9
    (tmp_path / "whole.yaml").write_text(whole)
    assert main(["fit", "--recipe", str(tmp_path / "whole.yaml"), "--print_config"]) == 0
    assert capsys.readouterr().out == whole
    assert main(["fit", "--recipe", str(tmp_path / "whole.yaml"), "--print_config=skip_default"]) == 0
    short = capsys.readouterr().out
    assert len(short) < len(whole) / 2
    (tmp_path / "short.yaml").write_text(short)
    assert main(["fit", "--recipe", str(tmp_path / "short.yaml"), "--print_config"]) == 0
    assert capsys.readouterr().out == whole
