"""The paragraph of methods: what the files say, and no more."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

from pathfuse.cli import main
from pathfuse.report.run.methods import methods
from pathfuse.report.write import write_report
from pathfuse.runs.folder import RunFolder
from tests.evaluate.runs import edit, write_csv, write_run
from tests.report.reading import read
from tests.report.runs import VERSIONS, write_whole_run


def test_of_patients_that_nobody_names_the_methods_claim_nothing(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False, subsets=("he",), per_patient=1)
    for name in ("predictions.csv", "splits.csv"):
        header, *rows = csv.reader(io.StringIO((folder / name).read_text()))
        write_csv(folder / name, header, [[row[0], row[0], *row[2:]] for row in rows])
    text = methods(RunFolder(folder))
    assert "42 cases, whose patients are not named" in text and "whether a patient is in two parts is not known" in text
    assert "patients drawn" not in text and "no patient is in two parts" not in text


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


def test_out_puts_page_numbers_and_methods_elsewhere(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    before = sorted(folder.iterdir())
    assert main(["report", str(folder), "--out", str(tmp_path / "pages" / "mine.html")]) == 0
    assert sorted(folder.iterdir()) == before
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "mine.html", "mine.json", "mine_methods.md",
    ]  # fmt: skip
