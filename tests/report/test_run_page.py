"""The page of a run: its numbers are those of the run's files, and what is missing is said."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pathfuse.cli import main
from pathfuse.evaluate.availability import write_availability
from pathfuse.report.write import write_report
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import read_predictions
from tests.evaluate.runs import write_csv, write_run
from tests.report.reading import beside, read
from tests.report.runs import VERSIONS, write_metrics, write_whole_run

MISSING = {
    "cohort.json": "no cohort.json",
    "metrics.json": "no calibration error",
    "reliability.csv": "no reliability.csv",
    "risk_coverage.csv": "no risk_coverage.csv",
    "calibration.json": "no threshold for abstaining is chosen",
    "splits.csv": "no splits.csv",
    "curves": "no training curves",
    "versions.json": "no versions.json",
    "weights.json": "no weights.json",
    "examples.csv": "no pictures of cases",
    "config.yaml": "The recipe is not in the folder",
}


def test_the_numbers_are_those_of_metrics_json(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    values = beside(run / "report.html")["sections"]["metrics"]["values"]
    assert [row["given"] for row in values] == [
        *metrics, "chance (even draw)", "majority (always 0)",
    ]  # fmt: skip
    for row in values[: len(metrics)]:
        for name in ("balanced_accuracy", "auroc", "auprc", "accuracy", "macro_f1", "mcc", "kappa_quadratic"):
            assert row[name] == metrics[row["given"]][f"test/{name}"]
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        assert row["n_cases"] == 80 and row["n_patients"] == 40


def test_the_numbers_are_those_of_the_predictions(run: Path) -> None:
    content = beside(run / "report.html")["sections"]
    own = read_predictions(run / "predictions.csv").subsets["he+ihc"]
    counts = np.zeros((4, 4), dtype=int)
    for truth, said in zip(own.rows.target, own.rows.predicted, strict=True):
        counts[truth, said] += 1
    assert content["confusion"]["confusion_he+ihc"] == counts.tolist()
    table = content["confusion"]["counts_0"]
    assert [[row[f"predicted_{name}"] for name in ("0", "1+", "2+", "3+")] for row in table] == counts.tolist()
    by_class = {row["class"]: row for row in content["metrics"]["classes"] if row["given"] == "he+ihc"}
    for index, name in enumerate(("0", "1+", "2+", "3+")):
        is_it = own.rows.target == index
        assert by_class[name]["sensitivity"] == pytest.approx(counts[index, index] / counts[index].sum())
        assert by_class[name]["specificity"] == pytest.approx((own.rows.predicted[~is_it] != index).mean())
        line = content["ranking"]["roc_he+ihc"][name]
        area = np.trapezoid(line["y"], line["x"])
        assert area == pytest.approx(roc_auc_score(is_it, own.rows.prob[:, index]), abs=1e-3)


def test_the_diagrams_are_those_of_the_csv_files(run: Path) -> None:
    content = beside(run / "report.html")["sections"]
    with (run / "reliability.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["subset"] == "he" and row["class"] == "2+"]
    for stage in ("before", "after"):
        drawn = content["calibration"][f"reliability_{stage}_he"]["2+"]
        assert [(b["confidence"], b["accuracy"], b["n"]) for b in drawn] == [
            (float(row["confidence"]), float(row["accuracy"]), int(row["n"])) for row in rows if row["stage"] == stage
        ]
    with (run / "risk_coverage.csv").open(newline="") as file:
        own = [row for row in csv.DictReader(file) if row["subset"] == "he" and row["score"] == "softmax"]
    line = content["selection"]["risk_coverage_he"]["softmax"]
    assert line["x"] == [float(row["coverage"]) for row in own]
    assert line["y"] == [float(row["risk"]) for row in own]


def test_what_was_chosen_on_validation_stands_beside_what_became_of_it(run: Path) -> None:
    content = beside(run / "report.html")["sections"]
    calibration = json.loads((run / "calibration.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    (row,) = content["selection"]["chosen"]
    fitted = calibration["pooled"]
    assert row["temperature"] == fitted["temperature"]["value"] and row["fitted_on"] == "pooled"
    assert row["threshold"] == fitted["abstention"]["threshold"] and row["target_risk"] == 0.1
    for row in content["selection"]["promised"]:
        own = metrics[row["given"]]
        for key in ("abstained", "risk_kept", "set_coverage", "set_coverage_low", "set_size"):
            assert row[key] == own[f"test/{key}"]
    for row in content["calibration"]["errors"]:
        prefix = "test/" if row["stage"] == "before" else "test/calibrated/"
        for key in ("ece", "ece_adaptive", "brier", "log_loss"):
            assert row[key] == metrics[row["given"]][prefix + key]
    area = metrics["he"]["test/aurc_softmax"]
    assert f"softmax ({area:.2f})" in read(run / "report.html").text
    assert "chosen on the validation part alone" in (run / "methods.md").read_text()


def test_parts_cohort_and_versions_are_told(run: Path) -> None:
    content, text = beside(run / "report.html")["sections"], read(run / "report.html").text
    assert content["splits"]["parts"][2] == {
        "part": "test", "cases": 80, "patients": 40, "label_0": 20, "label_1+": 20, "label_2+": 20, "label_3+": 20,
    }  # fmt: skip
    assert content["cohort"]["flow"][1] == {"step": "left out: no he or ihc image", "cases": 8, "patients": 3}
    assert "Read this note first." in text and "80 cases (0: 20)" not in text
    assert "ab" * 32 in text and "test_resnet" in text and "needs none" in text
    assert "arXiv:1802.04712" in text


def test_pictures_of_all_stains_stand_side_by_side_with_their_kind(run: Path) -> None:
    found = read(run / "report.html")
    images = found.all("img")
    assert [image["alt"] for image in images[:2]] == ["he of case c0000", "ihc of case c0000"]
    assert len(images) == 6 and all(image["src"].startswith("data:image/jpeg;base64,") for image in images)
    for title in ("Right, with a confidence of 0.75 or more", "Wrong, with a confidence of 0.75", "Left to a person"):
        assert title in found.text


@pytest.mark.parametrize("lost", MISSING)
def test_what_is_missing_is_said_and_the_rest_is_shown(lost: str, tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", subsets=("he",))
    shutil.rmtree(folder / lost) if (folder / lost).is_dir() else (folder / lost).unlink()
    write_report(folder)
    assert MISSING[lost] in read(folder / "report.html").text + (folder / "methods.md").read_text()
    assert "Confusion matrix" in read(folder / "report.html").text


def test_predictions_alone_make_a_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "bare", splits=False, learned=False)
    write_report(folder)
    assert beside(folder / "report.html")["sections"]["confusion"]["confusion_he"]


def test_no_labelled_case_makes_a_page_that_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "new")
    head, *lines = (folder / "predictions.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines]
    unknown = [",".join([*row[:6], "", *row[7:]]) for row in cells]  # the target
    (folder / "predictions.csv").write_text("\n".join([head, *unknown]))
    write_report(folder)
    assert "nothing to measure" in read(folder / "report.html").text


def test_one_patient_has_no_interval_and_one_class_no_curve(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "one", patients=1, per_patient=8, subsets=("he",))
    write_report(folder)
    row, *_ = beside(folder / "report.html")["sections"]["metrics"]["values"]
    assert row["accuracy"] is not None and row["accuracy_low"] is None
    single = write_whole_run(tmp_path / "single", patients=4, per_patient=1, subsets=("he",), examples=False)
    lines = (single / "predictions.csv").read_text().splitlines()
    (single / "predictions.csv").write_text("\n".join([lines[0], lines[1], lines[1].replace("c0000,p0000", "c9,p9")]))
    write_report(single)
    assert "only one class has test cases" in read(single / "report.html").text


def test_a_metric_of_few_cases_is_greyed_with_their_number(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "few", patients=9, per_patient=2, subsets=("he",), examples=False)
    write_report(folder)
    found, content = read(folder / "report.html"), beside(folder / "report.html")["sections"]["metrics"]
    assert content["values"][0]["fewest"] == 4
    # The subset, its four classes, and strata with fewer than ten cases; chance and majority are not greyed.
    strata = beside(folder / "report.html")["sections"]["strata"]["strata"]
    small = sum(row["n_cases"] < 10 for row in strata)
    assert len([own for tag, own in found.elements if tag == "tr" and own.get("class") == "few"]) == 5 + small
    assert "Grey: fewer than 10 cases" in found.text


def test_a_class_that_is_called_too_often_and_what_no_model_earned_are_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", subsets=("he",), splits=False)
    header, *rows = csv.reader(io.StringIO((folder / "predictions.csv").read_text()))
    at_2 = ["0.1", "0.1", "0.7", "0.1"]
    write_csv(folder / "predictions.csv", header, [[*row[:7], "2+", *at_2, row[-1]] for row in rows])
    write_metrics(folder, calibrated=False)
    write_report(folder)
    assert "The model calls every case 2+; 25% are." in read(folder / "report.html").text
    one, chance, majority = beside(folder / "report.html")["sections"]["metrics"]["values"]
    assert (chance["balanced_accuracy"], chance["auroc"], chance["mcc"]) == (0.25, 0.5, 0)
    # Who calls every case the same is the majority line.
    assert (majority["balanced_accuracy"], majority["accuracy"]) == (one["balanced_accuracy"], one["accuracy"])


def test_stains_that_a_model_never_saw_are_not_in_the_main_table_unless_asked_for(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False)
    (folder / "versions.json").write_text(json.dumps({**VERSIONS, "given": ["he"], "trained_on": ["he"]}))
    write_report(folder)
    assert [row["given"] for row in beside(folder / "report.html")["sections"]["metrics"]["values"]][0:2] == [
        "he", "chance (even draw)",
    ]  # fmt: skip
    said = "Not shown: IHC, H&E and IHC, which the model was never trained to be given."
    assert said in read(folder / "report.html").text
    assert main(["report", str(folder), "--all-subsets"]) == 0
    assert len(beside(folder / "report.html")["sections"]["metrics"]["values"]) == 5


def test_the_page_says_what_a_stain_adds_on_the_same_patients(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False)
    found = RunFolder(folder)
    content = write_availability(found, found.test_cases, found.predictions.classes)
    write_report(folder)
    own = beside(folder / "report.html")["sections"]["metrics"]
    assert [row["given"] for row in own["values"]][3] == "as available"
    assert own["values"][3]["auroc"] == content["as_available"]["test/auroc"]
    assert [row["pair"] for row in own["differences"]] == [
        "IHC less H&E",
        "H&E and IHC less H&E",
        "H&E and IHC less IHC",
    ]
    assert own["differences"][1]["auroc"] == content["same_patients"]["differences"][4]["difference"]
    assert "On the same patients: the 80 cases of 40 patients" in read(folder / "report.html").text


def test_sites_have_metrics_of_their_own_and_other_columns_on_request(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False, subsets=("he",))
    cases = RunFolder(folder).test_cases["he"].case_ids
    lines = [[case, "AB"[number // 40], "xyz"[number // 2 % 3]] for number, case in enumerate(cases)]
    write_csv(folder / "columns.csv", ["case_id", "site", "scanner"], lines)
    write_report(folder)
    own = beside(folder / "report.html")["sections"]["groups"]
    assert [(row["group"], row["n_cases"], row["n_patients"]) for row in own["by_site"]] == [
        ("A", 40, 20),
        ("B", 40, 20),
    ]
    assert own["by_site"][0]["auroc_gap"] == pytest.approx(-own["by_site"][1]["auroc_gap"])
    assert main(["report", str(folder), "--by", "scanner,colour"]) == 0
    content = beside(folder / "report.html")["sections"]["groups"]
    assert [row["group"] for row in content["by_scanner"]] == ["x", "y", "z"] and "by_site" not in content
    assert "no two values of colour" in read(folder / "report.html").text


def test_metrics_that_a_recipe_adds_stand_on_the_page(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False, subsets=("he",))
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["he"]["test/mean_score_error"] = 0.375
    (folder / "metrics.json").write_text(json.dumps(metrics))
    write_report(folder)
    assert beside(folder / "report.html")["sections"]["metrics"]["further"] == [
        {"given": "he", "mean_score_error": 0.375}
    ]
    assert "Mean score error" in read(folder / "report.html").text


def test_an_interval_that_does_not_fit_its_metric_is_not_shown(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", subsets=("he",), examples=False)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["he"]["test/auroc"] -= 0.01  # as if the digits of the predictions had lost its ranking
    (folder / "metrics.json").write_text(json.dumps(metrics))
    write_report(folder)
    row, *_ = beside(folder / "report.html")["sections"]["metrics"]["values"]
    assert row["auroc_low"] is None and row["accuracy_low"] is not None


def test_a_patient_in_two_parts_is_said_loudly(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False)
    with (folder / "splits.csv").open("a") as file:
        file.write("c9999,p0000,train,0\n")
    write_report(folder)
    assert "SOME PATIENTS ARE IN TWO PARTS" in (folder / "methods.md").read_text()
