"""What a stain adds is measured on the same patients, with the differences that the cases give by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from pathfuse.evaluate.availability import as_available, on_same_cases, pairs_of, write_availability
from pathfuse.evaluate.called import called_too_often
from pathfuse.evaluate.names import from_given, given_name, in_sentence, metric_name
from pathfuse.runs.folder import RunFolder
from tests.evaluate.runs import write_csv, write_run, write_versions


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Forty patients; ten lack IHC."""
    folder = write_run(tmp_path / "run", subsets=("he", "ihc", "he+ihc"), seed=3)
    header, *rows = csv.reader(io.StringIO((folder / "predictions.csv").read_text()))
    few = [f"c{number:04d}" for number in range(10)]
    write_csv(folder / "predictions.csv", header, [row for row in rows if row[3] == "he" or row[0] not in few])
    return RunFolder(folder)


def written(run: RunFolder, **versions: object) -> dict:
    write_versions(run.path, **versions)
    again = RunFolder(run.path)
    return write_availability(again, again.test_cases, again.predictions.classes)


def test_every_case_is_taken_once_from_all_that_it_has(run: RunFolder) -> None:
    joined, given = as_available(run.test_cases)
    assert given == {"he": 10, "he+ihc": 30}
    assert sorted(joined.case_ids) == [f"c{number:04d}" for number in range(40)]
    both = run.test_cases["he+ihc"]
    for row, name in enumerate(joined.case_ids):
        source = both if name in both.case_ids else run.test_cases["he"]
        assert (joined.rows.prob[row] == source.rows.prob[source.case_ids.index(name)]).all()


def test_differences_are_those_of_the_same_patients(run: RunFolder) -> None:
    same = written(run)["same_patients"]
    assert (same["n_cases"], same["n_patients"]) == (30, 30) and list(same["subsets"]) == ["he", "ihc", "he+ihc"]
    cases = on_same_cases(run.test_cases)
    for subset, own in cases.items():
        right = (own.rows.predicted == own.rows.target).mean()
        assert same["subsets"][subset]["test/accuracy"] == pytest.approx(right)
    for one in same["differences"]:
        more, less = (same["subsets"][one[key]][f"test/{one['metric']}"] for key in ("subset", "baseline"))
        assert one["difference"] == pytest.approx(more - less)
        assert one["low"] <= one["difference"] <= one["high"]
    # Over all cases, H&E has ten more: another number.
    assert RunFolder(run.path).json("modalities.json")["as_available"]["n_cases"] == 40


def test_what_training_never_had_is_not_compared(run: RunFolder) -> None:
    content = written(run, trained_on=["he", "he+ihc"])
    assert list(content["same_patients"]["subsets"]) == ["he", "he+ihc"]
    only = written(run, trained_on=["he+ihc"])
    assert "same_patients" not in only and only["as_available"]["given"] == {"he+ihc": 30}
    assert written(run, given=["he"], trained_on=["he"]) == {}


def test_pairs_are_one_stain_with_another_and_less_with_more() -> None:
    assert pairs_of(["he", "ihc", "he+ihc"]) == [("he", "ihc"), ("he", "he+ihc"), ("ihc", "he+ihc")]
    assert ("a+b", "a+c") not in pairs_of(["a", "a+b", "a+c", "a+b+c"])


def test_a_class_that_is_called_too_often_is_said(tmp_path: Path) -> None:
    rows = RunFolder(write_run(tmp_path / "run", patients=40, skill=4.0)).test_cases["he"].rows
    classes = ("0", "1+", "2+", "3+")
    assert called_too_often(rows, classes) == ""
    rows.predicted[:31] = 2
    rows.predicted[31:] = 0
    assert called_too_often(rows, classes) == "The model calls 78% of cases 2+; 25% are."
    rows.predicted[:] = 2
    assert called_too_often(rows, classes) == "The model calls every case 2+; 25% are."


def test_names_are_those_that_a_reader_knows() -> None:
    assert [metric_name(key) for key in ("test/balanced_accuracy", "auroc/2+", "some_score", "calibrated/ece")] == [
        "Balanced accuracy", "AUC-ROC of 2+", "Some score", "Calibration error, calibrated",
    ]  # fmt: skip
    assert metric_name("curve:predict:val/auroc") == "AUC-ROC, validation, stage predict"
    assert (in_sentence("Balanced accuracy"), in_sentence("AUC-ROC")) == ("balanced accuracy", "AUC-ROC")
    assert (given_name("he+ihc"), from_given("he")) == ("H&E and IHC", "H&E alone")
    assert json.dumps(given_name("a+b+c")) == '"a, b and c"'
