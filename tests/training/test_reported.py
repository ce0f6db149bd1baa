"""What the end of a run leaves for its report, and that the report never fails the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from pathfuse.nn.weights import weights_note
from pathfuse.runs.folder import RunFolder
from pathfuse.training.reported.for_report import EACH, SURE, example_cases
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_timm.backbone import TimmBackbone
from pathfuse_torchvision.alexnet import AlexNet
from tests.report.reading import at, beside, read
from tests.training.conftest import Run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_ends_with_its_report_and_all_that_it_needs(
    page: None, fit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit("run")
    said = capsys.readouterr().out
    assert f"report: {run / 'report.html'}" in said and "there is no report" not in said
    cohort = json.loads((run / "cohort.json").read_text())
    assert [(step["kind"], step["step"], step["cases"]) for step in cohort["flow"]] == [
        ("table", "in the table", 16), ("in use", "in use", 16), ("part", "train", 8), ("part", "val", 4),
        ("part", "test", 4),
    ]  # fmt: skip
    (weights,) = json.loads((run / "weights.json").read_text())["weights"]
    assert weights == {
        "stage": "predict", "component": "TimmBackbone", "network": "test_resnet", "weights": "random numbers",
        "licence": "needs none", "commercial": "",
    }  # fmt: skip
    examples = rows_of(run / "examples.csv")
    tested = {row["case_id"]: row for row in rows_of(run / "predictions.csv")}
    assert {row["case_id"] for row in examples} <= set(tested)
    for row in examples:
        kind = "right" if row["target"] == row["predicted"] else "wrong"
        assert row["kind"] == (kind if float(row["confidence"]) >= SURE else "unsure")
        for stain in ("he", "ihc"):
            with Image.open(run / "examples" / row[f"file_{stain}"]) as image:
                assert image.format == "JPEG" and max(image.size) <= 256
    page = read(run / "report.html")
    assert "Loss, stage correlate" in page.text and "Loss, stage predict" in page.text
    for key, value, _ in page.numbers:
        raw = at(beside(run / "report.html"), key)
        assert value == ("" if raw is None else str(raw))
    assert "stage correlate" in (run / "methods.md").read_text().lower()


def test_a_report_that_fails_leaves_the_run_whole(
    page: None, fit: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the disk\nis full")

    monkeypatch.setattr("pathfuse.training.reported.for_report.write_cohort", broken)
    run = fit("run")
    said = capsys.readouterr().out
    assert f"note: there is no report (the disk). Try again with: pathfuse report {run}" in said
    assert not (run / "report.html").exists()
    assert RunFolder(run).sealed


def row(case: str, target: str, predicted: str, confidence: str, **more: str) -> dict[str, str]:
    own = {"case_id": case, "patient_id": case[:2], "split": "test", "subset": "he", "target": target}
    return own | {"predicted": predicted, "confidence": confidence, "p_0": "0.6", "p_1": "0.4"} | more


def shown_as(kind: str, rows: list[dict[str, str]]) -> list[str]:
    return [one["case_id"] for own, one in example_cases(rows) if own == kind]


def test_examples_are_the_surest_of_different_patients() -> None:
    rows = [row(f"p{n // 2}-{n}", "0", "0", f"0.{80 + n}") for n in range(20)]
    assert shown_as("right", rows) == ["p9-19", "p8-17", "p7-15", "p6-13"]
    assert len(list(example_cases(rows))) == EACH


def test_a_heading_that_promises_confidence_has_a_threshold_and_every_case_one_heading() -> None:
    rows = [row("p0-0", "0", "0", "0.75"), row("p1-0", "0", "0", "0.74"), row("p2-0", "0", "1", "0.8"),
            row("p3-0", "0", "1", "0.3"), row("p4-0", "0", "1", "0.99", abstain="1")]  # fmt: skip
    found = [(kind, one["case_id"]) for kind, one in example_cases(rows)]
    assert found == [
        ("right", "p0-0"), ("wrong", "p2-0"), ("abstained", "p4-0"), ("unsure", "p3-0"), ("unsure", "p1-0"),
    ]  # fmt: skip


def test_examples_of_one_patient_are_better_than_none() -> None:
    rows = [row(f"p0-{n}", "0", "1", f"0.8{n}") for n in range(3)]
    assert shown_as("wrong", rows) == ["p0-2", "p0-1", "p0-0"]


def test_examples_are_test_cases_with_a_label_given_all_stains() -> None:
    rows = [row("p0-0", "", "0", "0.9"), row("p1-0", "0", "0", "0.9", split="train"),
            row("p2-0", "0", "0", "0.9"), row("p3-0", "0", "0", "0.1", subset="he+ihc")]  # fmt: skip
    assert {one["case_id"] for _, one in example_cases(rows)} == {"p3-0"}
    assert list(example_cases(rows[:2])) == []


def test_without_a_learned_confidence_the_highest_probability_counts() -> None:
    rows = [row("p0-0", "0", "0", "", p_0="0.8"), row("p1-0", "0", "0", "", p_0="0.9", p_1="0.1")]
    assert shown_as("right", rows) == ["p1-0", "p0-0"]
    rows[0] |= {"p_0": "0.9999907", "p_1": "9.3e-06"}
    assert shown_as("right", rows) == ["p0-0", "p1-0"]


def test_weights_are_told_with_the_licence_of_their_publisher() -> None:
    assert weights_note("net", "random", "mit")[:3] == ("net", "random numbers", "needs none")
    assert weights_note("net", "hub", "")[:3] == ("net", "those published under this name", "not known")
    assert weights_note("net", "/secret/place/w.pth", "mit")[1:3] == (
        "the file w.pth",
        "that of the file, which does not say",
    )
    assert TimmBackbone.weights_note({"name": "resnet50.a1_in1k", "weights": "hub"}).licence == "apache-2.0"
    assert TimmBackbone.weights_note({"name": "hf-hub:someone/else", "weights": "hub"}).licence == "not known"
    assert "BSD-3-Clause" in AlexNet.weights_note({"weights": "hub"}).licence
    assert StainEncoder.weights_note({"stem": "none", "weights": "hub"}) is None
    assert StainEncoder.weights_note({}) == StainEncoder.weights_note({"stem": "resnet50", "weights": "hub"})
