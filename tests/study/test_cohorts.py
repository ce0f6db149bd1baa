"""A study of two cohorts whose parts are given: it runs, goes on, and its curves pair the cohorts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.cohort.table import Case
from pathfuse.errors import RecipeError
from pathfuse.study.definition.study import DrawnSplits, Study, Variant
from pathfuse.study.folds import make_splits
from tests.study.small import RECIPE, rows

STUDY = """
splits: given
seeds: [1]
cohorts: {one: {cohort.cases: CASES}, two: {cohort.cases: OTHER}}
overrides: {loading.batches_per_epoch: 2}
grid:
  labels: {few: {overrides: {cohort.labelled_patients: 4}}, all: {}}
  arm: {he: RECIPE, ihc: {recipe: RECIPE, overrides: {model.encoder.input.modality: ihc}}}
report:
  figures: {auc: {kind: curves, value: balanced_accuracy, x: labels, by: arm, lead: ihc, baseline: he}}
"""


@pytest.fixture
def study(tmp_path: Path, cases: Path) -> Path:
    """The second cohort has the files of the first, and other names."""
    with cases.open(newline="") as file:
        lines = list(csv.DictReader(file))
    other = cases.with_name("other.csv")
    with other.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows({**row, "case_id": f"x{row['case_id']}"} for row in lines)
    recipe = tmp_path / "small_he.yaml"
    recipe.write_text(RECIPE.replace("cohort: {cases: CASES}\n", "").replace("EPOCHS", "1"))
    path = tmp_path / "two.yaml"
    path.write_text(STUDY.replace("RECIPE", str(recipe)).replace("CASES", str(cases)).replace("OTHER", str(other)))
    return path


def test_every_variant_is_trained_in_every_cohort_and_the_curves_pair_them(
    here: None, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(["study", str(study), "--out", str(out), "--only", "few_*"]) == 0
    first = {row["variant"]: row for row in rows(out / "runs.csv")}
    assert set(first) == {"few_he", "few_ihc"} and not (out / "splits.csv").exists()
    assert main(["study", str(study), "--out", str(out)]) == 0
    done = rows(out / "runs.csv")
    assert len(done) == 8 and {row["status"] for row in done} == {"done"}
    assert first["few_he"] in done  # it was not trained again
    assert (out / "all_ihc/seed1/two/metrics.json").is_file()
    points = rows(out / "figures/auc.csv")
    assert [(row["line"], row["at"], row["units"], row["steps"]) for row in points] == [
        (arm, n, "2", "2.000000") for arm in ("he", "ihc") for n in ("few", "all")
    ]
    assert "over 2 cohorts" in (out / "figures/auc.md").read_text()
    assert not (out / "comparison.csv").exists()


def case(number: int, label: str, split: str = "") -> Case:
    return Case(f"c{number}", f"p{number}", label, split)


def test_patients_without_a_label_are_in_every_training_part() -> None:
    cases = [case(n, "01"[n % 2] if n < 12 else "") for n in range(20)]
    folds = make_splits(Study("s", (Variant("a", ("he_only",)),), splits=DrawnSplits(folds=3)), cases)
    assert folds is not None and len(folds.rows) == 3 * 20
    parts = {row.case_id: set() for row in folds.rows}
    for row in folds.rows:
        parts[row.case_id].add(row.part)
    assert all(parts[f"c{n}"] == {"train"} for n in range(12, 20))
    assert all("test" in parts[f"c{n}"] for n in range(12))
    assert "8 patients without a label are in the training part of every fold" in folds.notes


def test_given_parts_have_to_be_there_and_labelled() -> None:
    study = Study("s", (Variant("a", ("he_only",)),), splits=None)
    whole = [case(0, "0", "train"), case(1, "0", "val"), case(2, "1", "test")]
    assert make_splits(study, whole) is None
    with pytest.raises(RecipeError, match="no labelled case is in test"):
        make_splits(study, [*whole[:2], case(2, "", "test")])


@pytest.mark.parametrize(
    ("name", "arms", "small"),
    [
        ("pairs_without_labels", ("he_only", "ihc_teacher"), ["--data.pictures.size_px=32", "--data.size_px=32"]),
        ("bags_without_labels", ("stain_map", "unmapped"), ["--data.pictures.grid=2"]),
    ],
)
def test_the_studies_of_few_labels_say_what_they_would_do(
    name: str, arms: tuple[str, str], small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dry-run", "--only", ",".join(f"16_{arm}" for arm in arms), "--out", str(tmp_path / "out"), *small]
    assert main(["study", name, *words, "--cohort.demo.patients=12", "--data.pictures.cases_per_patient=1"]) == 0
    said = capsys.readouterr().out
    assert all(f"16_{arm}/seed1/c3  to do" in said for arm in arms)
    assert "nothing was done (--dry-run)" in said and not (tmp_path / "out").exists()
