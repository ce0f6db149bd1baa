"""What a page says: every number is in the JSON beside it and in the files it comes from; names stay text."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pathfuse.cli import main
from pathfuse.evaluate.availability import write_availability
from pathfuse.evaluate.compare.compare import compare_runs
from pathfuse.evaluate.compare.files import read_comparison, write_comparison
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.report.comparison_page import comparison_page
from pathfuse.report.page import NOTHING, Column, Page, Section, Table, as_data, shown
from pathfuse.report.render import as_html
from pathfuse.report.run.methods import methods
from pathfuse.report.write import write_comparison_report, write_report
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import read_predictions
from tests.evaluate.runs import edit, write_csv, write_run
from tests.report.reading import Read, at, beside, read
from tests.report.runs import VERSIONS, write_metrics, write_study, write_whole_run

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a & b </style>", "{{ 7 * 7 }}")
FAST = CompareOptions(draws=200, permutations=200)
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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_whole_run(tmp_path_factory.mktemp("report") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    runs = [write_run(folder / name, seed=seed, subsets=("he", "he+ihc")) for seed, name in enumerate("ab")]
    write_comparison_report(compare_runs(read_runs(runs), FAST), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("study") / "study")
    write_report(folder)
    return folder / "report.html"


@pytest.fixture(params=["run", "compared", "study"])
def page(request: pytest.FixtureRequest) -> Path:
    found = request.getfixturevalue(request.param)
    return found / "report.html" if request.param == "run" else found


def test_every_number_of_the_page_is_in_the_json_beside_it(page: Path) -> None:
    numbers, content = read(page).numbers, beside(page)
    assert len(numbers) >= 10
    assert len({key for key, _, _ in numbers}) == len(numbers)
    for key, value, text in numbers:
        raw = at(content, key)
        assert value == ("" if raw is None else str(raw)), key
        if raw is None:
            assert text == NOTHING
        elif not text.startswith("<"):
            digits = text.replace(",", "")
            own = float(digits.rstrip("%")) / (100 if digits.endswith("%") else 1)
            assert own == pytest.approx(raw, abs=6e-4, rel=1e-3), key


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


def test_a_page_asks_for_nothing_and_runs_only_its_own_script(page: Path) -> None:
    found = read(page)
    for _, own in found.elements:
        for key in ("src", "href", "xlink:href", "action"):
            assert own.get(key, "#").startswith(("#", "data:"))
        assert not [key for key in own if key.startswith("on")]
    (policy,) = [own["content"] for own in found.all("meta") if own.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy
    assert len(found.all("script")) == 1
    assert "url(http" not in page.read_text() and "@import" not in page.read_text()


def test_a_page_can_be_used_without_eyes_or_mouse(page: Path) -> None:
    found = read(page)
    ids = [own["id"] for _, own in found.elements if "id" in own]
    assert len(ids) == len(set(ids))
    assert found.all("html")[0]["lang"] == "en" and len(found.all("h1")) == 1
    for link in found.all("a"):
        assert link["href"][1:] in ids
    assert found.elements[[tag for tag, _ in found.elements].index("a")][1]["class"] == "skip"
    assert len(found.all("caption")) == len(found.all("table")) > 0
    for own in found.all("th"):
        assert own["scope"] in ("col", "row")
    for tag, own in found.elements:
        if own.get("class") == "scroll":
            assert (tag, own["role"], own["tabindex"]) == ("div", "region", "0") and own["aria-labelledby"] in ids
        if tag == "svg":
            assert own["role"] == "img" and set(own["aria-labelledby"].split()) <= set(ids)
        if tag == "img":
            assert own["alt"]


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


def test_of_patients_that_nobody_names_the_methods_claim_nothing(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False, subsets=("he",), per_patient=1)
    for name in ("predictions.csv", "splits.csv"):
        header, *rows = csv.reader(io.StringIO((folder / name).read_text()))
        write_csv(folder / name, header, [[row[0], row[0], *row[2:]] for row in rows])
    text = methods(RunFolder(folder))
    assert "42 cases, whose patients are not named" in text and "whether a patient is in two parts is not known" in text
    assert "patients drawn" not in text and "no patient is in two parts" not in text


def test_an_interval_that_does_not_fit_its_metric_is_not_shown(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", subsets=("he",), examples=False)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["he"]["test/auroc"] -= 0.01  # as if the digits of the predictions had lost its ranking
    (folder / "metrics.json").write_text(json.dumps(metrics))
    write_report(folder)
    row, *_ = beside(folder / "report.html")["sections"]["metrics"]["values"]
    assert row["auroc_low"] is None and row["accuracy_low"] is not None


def test_hostile_names_stay_text_everywhere(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", classes=HOSTILE)
    for file, place in (("examples.csv", "c0000"), ("cohort.json", "cases.csv"), ("weights.json", "test_resnet")):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace(place, HOSTILE[0].replace("/", "\\/" if "json" in file else "/")))
    write_report(folder)
    found = read(folder / "report.html")
    assert len(found.all("script")) == 1 and not [own for own in found.all("img") if own["src"] == "x"]
    assert not [key for _, own in found.elements for key in own if key.startswith("on")]
    for name in HOSTILE:
        assert name in found.text
    assert "49" not in [row["true"] for row in beside(folder / "report.html")["sections"]["confusion"]["counts_0"]]


def test_hostile_files_of_examples_do_not_get_into_the_page(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run")
    (tmp_path / "secret.jpg").write_bytes(b"\xff\xd8\xffsecret")
    (folder / "examples" / "0_he.jpg").write_text("<script>alert(1)</script>")
    text = (folder / "examples.csv").read_text()
    (folder / "examples.csv").write_text(text.replace("1_he.jpg", "../../secret.jpg"))
    write_report(folder)
    assert len(read(folder / "report.html").all("img")) == 4


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = {name: (run / name).read_bytes() for name in ("report.html", "report.json", "methods.md")}
    again = tmp_path / "run"
    shutil.copytree(run, again)
    write_report(again)
    assert {name: (again / name).read_bytes() for name in first} == first


def test_a_comparison_is_read_back_as_it_was(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    comparison = compare_runs(read_runs(runs), FAST)
    write_comparison(tmp_path, comparison)
    write_comparison_report(comparison, tmp_path / "report.html")
    before = as_data(comparison_page(comparison))
    assert as_data(comparison_page(read_comparison(tmp_path))) == before
    content = beside(tmp_path / "report.html")
    assert content["sections"]["differences"]["pairs"][0]["p_permutation"] == comparison.differences[0].p_permutation


def test_a_comparison_opens_with_its_answer_one_plot_and_one_table(compared: Path) -> None:
    found = read(compared)
    answer = beside(compared)["comparison"]["answer"]
    assert answer.startswith("From H&E and IHC together, ") and found.text.count(answer) == 1
    assert found.text.index(answer) < found.text.index("Metrics with intervals over patients")
    assert len(found.all("svg")) == 1
    for key in ("balanced_accuracy", "auroc"):
        assert key not in found.text.replace(json.dumps(answer), "")


def test_compare_writes_its_page_and_report_writes_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(write_run(tmp_path / name, seed=seed)) for seed, name in enumerate("ab")]
    out = tmp_path / "out"
    assert main(["compare", *runs, "--out", str(out), "--draws", "100", "--permutations", "100"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.csv", "comparison.json", "comparison.md", "report.html", "report.json",
    ]  # fmt: skip
    first = (out / "report.html").read_bytes()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_bytes() == first
    assert str(out / "report.html") in capsys.readouterr().out
    # One run alone is compared with itself, by the stains that it is given.
    both = str(write_run(tmp_path / "both", subsets=("he", "he+ihc")))
    assert main(["compare", both, "--out", str(tmp_path / "own"), "--draws", "50", "--permutations", "50"]) == 0
    assert "both, by what it is given" in read(tmp_path / "own" / "report.html").text


def test_a_comparison_has_the_lines_of_chance_and_of_the_most_frequent_class(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=seed, subsets=("he", "he+ihc")) for seed, name in enumerate("ab")]
    write_comparison_report(compare_runs(read_runs(runs), FAST), tmp_path / "report.html")
    rows = beside(tmp_path / "report.html")["sections"]["answer"]["values"]
    assert [row["run"] for row in rows[-2:]] == ["chance (even draw)", "majority (always 0)"]
    assert [(row["balanced_accuracy"], row["auroc"], row["n_cases"]) for row in rows[-2:]] == [(0.25, 0.5, 40)] * 2
    text = read(tmp_path / "report.html").text
    assert "chance (even draw)" in text and "from H&E alone" in text and "he+ihc" not in text


def test_a_study_of_one_variant_names_stains_in_words_and_what_no_model_scores(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    write_whole_run(folder / "a" / "seed1" / "r0f0", subsets=("he",), patients=20)
    write_whole_run(folder / "b" / "seed1" / "r0f0", subsets=("he",), patients=20)
    (folder / "tables" / "stains.csv").write_text("variant,given,metric,mean\na,he+ihc,auroc,0.5\n")
    write_report(folder)
    rows = beside(folder / "report.html")["sections"]["variants"]["spread"]
    assert [row["variant"] for row in rows] == ["a", "b", "chance (even draw)", "majority (always 0)"]
    assert rows[2]["accuracy"] == rows[3]["accuracy"] == 0.25 and rows[2]["runs"] is None
    cells = read(folder / "report.html").text.split()
    assert "H&E" in cells and not {"he", "he+ihc", "auroc"} & set(cells)


def test_a_study_tells_what_became_of_every_run(study: Path) -> None:
    content, found = beside(study)["sections"], read(study)
    assert content["runs"]["states"] == [{"status": "done", "runs": 3}, {"status": "failed", "runs": 1}]
    assert "out of <memory>" in found.text and len(found.all("script")) == 1
    spread = content["variants"]["spread"][0]
    assert (spread["variant"], spread["auroc"], spread["runs"]) == ("a", pytest.approx(0.55), 2)
    assert spread["auroc_sd"] == pytest.approx(np.std([0.5, 0.6], ddof=1))
    assert content["own"]["table_table_1"][1] == {"variant": "b", "mean": 0.625, "published": 0.9}
    assert found.all("img")[0]["src"].startswith("data:image/svg+xml;base64,")
    assert "fewer than two variants are finished" in found.text


def test_the_methods_paragraph_says_what_the_files_say(run: Path) -> None:
    text = (run / "methods.md").read_text()
    for piece in (
        "82 cases of 42 patients", "8 cases were left out: no he or ihc image", "test 80 cases of 40 patients",
        "no patient is in two parts", "encoder ImageEncoder", "3 epochs with Adam, learning rate 0.0005",
        "torch 2.6.0", "recipe abababababababab", "AttentionFusion: Ilse et al. 2018, arXiv:1802.04712",
        "[who, where, when, ethics]", "1000 cohorts of patients",
    ):  # fmt: skip
        assert piece in text, piece


def test_the_fold_of_a_run_stands_in_page_and_methods(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path / "run", examples=False)
    folds = {"splits_sha256": "cd" * 32, "repeat": 1, "fold": 3}
    (run / "versions.json").write_text(json.dumps({**VERSIONS, **folds}))
    write_report(run)
    assert "The parts are fold 3 of repeat 1 of a file of folds." in read(run / "report.html").text
    assert "cd" * 32 in read(run / "report.html").text
    assert "They are fold 3 of repeat 1" in (run / "methods.md").read_text()
    assert "splits cdcdcdcdcdcdcdcd" in (run / "methods.md").read_text()


def test_methods_say_by_what_the_epoch_was_chosen(tmp_path: Path) -> None:
    run = write_whole_run(tmp_path / "run", examples=False)
    recipe = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(recipe.replace("loss_weights:", "select_on: he\n      loss_weights:"))
    text = methods(RunFolder(run))
    assert "The epoch of highest balanced accuracy on the validation part, given he, was taken" in text
    edit(run, "q2,val,0", "q2,val,", "splits.csv")
    assert "The last epoch was taken." in methods(RunFolder(run))


def test_methods_of_a_test_on_other_cases_count_these_and_claim_nothing_of_the_training(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "external", patients=12, per_patient=2, subsets=("he", "he+ihc"), splits=False)
    text = methods(RunFolder(folder))
    assert "24 cases of 12 patients" in text and "[How the model was trained is not in the folder.]" in text
    assert "The last epoch was taken" not in text


def test_the_hash_of_the_metrics_is_that_of_the_file(run: Path) -> None:
    digest = hashlib.sha256((run / "metrics.json").read_bytes()).hexdigest()
    assert f"metrics {digest[:16]}" in (run / "methods.md").read_text()
    assert digest in read(run / "report.html").text


def test_a_patient_in_two_parts_is_said_loudly(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False)
    with (folder / "splits.csv").open("a") as file:
        file.write("c9999,p0000,train,0\n")
    write_report(folder)
    assert "SOME PATIENTS ARE IN TWO PARTS" in (folder / "methods.md").read_text()


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda run: (run / "predictions.csv").unlink(), "holds no predictions.csv"),
        (lambda run: (run / "metrics.json").write_text("{"), "metrics.json cannot be read"),
        (lambda run: (run / "metrics.json").write_text("[]"), "holds no mapping"),
        (lambda run: (run / "config.yaml").write_text("a: [b"), "config.yaml line 1 column 6: not readable as YAML"),
        (lambda run: (run / "splits.csv").write_bytes(b"\xff\xfe\x00"), "splits.csv line 1 is not UTF-8"),
        (lambda run: (run / "seal.json").write_text('{"sha256": {"predictions.csv": "00"}}'), "SHA-256 differs"),
    ],
    ids=["nothing", "metrics", "list", "config", "splits", "edited"],
)
def test_a_folder_that_cannot_be_read_is_one_clear_line(
    spoil: Spoil, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False, subsets=("he",))
    spoil(folder)
    assert main(["report", str(folder)]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_damaged_comparison_and_a_wrong_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "comparison.json").write_text('{"comparison": {}}')
    assert main(["report", str(tmp_path)]) == 2
    assert "comparison.json cannot be read" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "is no folder" in capsys.readouterr().err
    folder = write_run(tmp_path / "run")
    assert main(["report", str(folder), "--out", str(tmp_path / "page.pdf")]) == 2
    assert "ends in .html" in capsys.readouterr().err


def test_out_puts_page_numbers_and_methods_elsewhere(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    before = sorted(folder.iterdir())
    assert main(["report", str(folder), "--out", str(tmp_path / "pages" / "mine.html")]) == 0
    assert sorted(folder.iterdir()) == before
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "mine.html", "mine.json", "mine_methods.md",
    ]  # fmt: skip


def test_values_are_rounded_only_where_they_are_shown() -> None:
    assert [shown(0.12345, form) for form in ("share", "signed", "percent", "p", "number")] == [
        "0.123", "+0.123", "12.3%", "0.1235", "0.1235",
    ]  # fmt: skip
    assert (shown(1234.0, "count"), shown(1e-9, "p"), shown("a", "share")) == ("1,234", "< 0.0001", "a")
    assert {shown(None, "share"), shown(float("nan"), "count"), shown(float("inf"), "p")} == {NOTHING}
    assert shown({"odd": 1}, "share") == "{'odd': 1}"  # type: ignore[arg-type]


def test_what_is_not_a_number_is_a_dash_with_its_interval() -> None:
    undefined = float("nan")
    records = [
        {"a": "x", "b": undefined, "b_low": undefined, "b_high": 1.0},
        {"a": "y", "b": 0.5, "b_low": 0.1, "b_high": 0.9},
    ]
    table = Table("t", "caption", [Column("a", "A"), Column("b", "B", "share", interval=True)], records)
    found = Read()
    found.feed(as_html(Page("page", "", [Section("s", "S", [table])]), "page.json"))
    assert [(value, text) for _, value, text in found.numbers] == [
        ("", NOTHING), ("0.5", "0.500"), ("0.1", "0.100"), ("0.9", "0.900"),
    ]  # fmt: skip
