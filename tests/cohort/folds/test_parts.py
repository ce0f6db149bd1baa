"""Parts from a file of folds, for every data module, and the refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pathfuse.cli import main
from pathfuse.cli.chosen import with_new_cases
from pathfuse.cohort import Cohort
from pathfuse.cohort.folds.draw import draw_folds
from pathfuse.cohort.folds.file import FoldRow, folds_sha256, parts_of, read_folds, write_folds
from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.cohort.split_rows import Folds
from pathfuse.cohort.table import Case
from pathfuse.data.labelled_patches import LabelledPatches
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.data.slide_patches import SlidePatches
from pathfuse.data.slide_thumbnails import SlideThumbnails
from pathfuse.demo import BagPictures, DemoCohort, PatchPictures, SlidePictures, write_patches
from pathfuse.errors import CaseTableError, RecipeError
from tests.data.pairs import bci_names, make_pairs, write_table

CASES = [Case(f"c{number}", f"p{number // 2}", "ab"[number // 2 % 2]) for number in range(24)]
WHO = DemoCohort(patients=12)
PATCHES = PatchPictures(cases_per_patient=1, size_px=32)


@pytest.fixture
def file(tmp_path):
    rows = draw_folds(CASES, folds=3, repeats=2).rows
    write_folds(tmp_path / "folds.csv", rows)
    return tmp_path / "folds.csv"


def parts(file, **options) -> Parts:
    return Parts(**{"folds": str(file), **options})


@pytest.mark.parametrize("repeat", [0, 1])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_the_parts_are_those_of_the_named_fold(file, repeat, fold):
    placed, _ = parts(file, repeat=repeat, fold=fold).apply(CASES[::-1])
    assert {case.case_id: case.split for case in placed} == parts_of(read_folds(file), repeat, fold)
    assert [case.case_id for case in placed] == [case.case_id for case in CASES[::-1]]


def test_the_parts_of_the_source_and_the_seed_do_not_matter_beside_a_file(file):
    one = parts(file).apply([Case(c.case_id, c.patient_id, c.label, "test") for c in CASES])[0]
    assert one == parts(file, seed=7, val_fraction=0.9).apply(CASES)[0]


def test_a_fold_says_its_file_by_name_and_hash(file):
    fold = parts(file, repeat=1, fold=2)
    assert fold.chosen == Folds("folds.csv", folds_sha256(file), 1, 2)
    _, notes = fold.apply(CASES)
    assert f"folds.csv, repeat 1, fold 2 (sha256 {folds_sha256(file)[:12]})" in notes[0]
    assert any(note.startswith("train: ") for note in notes)
    assert Parts().chosen is None


def test_some_cases_of_the_file_are_enough_and_the_rest_is_counted(file):
    placed, notes = parts(file).apply(CASES[:20])
    assert len(placed) == 20
    assert "4 cases of folds.csv are not in use here." in notes


def test_of_inner_folds_the_first_validates_and_that_is_said(tmp_path):
    rows = draw_folds(CASES, folds=2, nested=2).rows
    write_folds(tmp_path / "nested.csv", rows)
    placed, notes = parts(tmp_path / "nested.csv", fold=1).apply(CASES)
    assert {case.case_id: case.split for case in placed} == parts_of(rows, 0, 1, 0)
    assert any("inner folds" in note for note in notes)


def test_testing_on_all_makes_every_case_a_test_case_and_names_no_fold(file):
    everything = parts(file, test_on="all")
    placed, notes = everything.apply(CASES)
    assert {case.split for case in placed} == {"test"}
    assert everything.chosen is None
    assert "is not read" in notes[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"split": "drawn"}, "cohort.split is drawn, but cohort.folds gives the parts"),
        ({"fold": -1}, "cohort.fold is -1"),
        ({"repeat": -2}, "cohort.repeat is -2"),
        ({"folds": None, "fold": 2}, "cohort.fold is 2, but there is no cohort.folds"),
        ({"folds": None, "repeat": 1}, "cohort.repeat is 1, but there is no cohort.folds"),
        ({"val_fraction": 1.0}, "cohort.val_fraction is 1.0"),
    ],
)
def test_options_that_exclude_each_other_are_refused_by_name(file, options, told):
    with pytest.raises(RecipeError, match=told):
        parts(file, **options)


def refused(file, cases, told, **options):
    with pytest.raises(CaseTableError, match=told) as caught:
        parts(file, **options).apply(cases)
    assert "\n" not in str(caught.value)


def test_a_file_for_other_cases_is_refused(file):
    refused(file, [Case("x1", "p1", "a")], "folds.csv: 1 of 1 cases are not in repeat 0, fold 0, first x1")
    refused(file, [*CASES, Case("x1", "p1", "a")], "folds.csv: 1 of 25 cases are not in repeat 0, fold 0, first x1")
    refused(file, [Case("c0", "q", "a")], "folds.csv: case c0 belongs to patient p0 here, but to q in the case table")


def test_a_fold_that_is_not_there_is_refused(file):
    refused(file, CASES, "folds.csv: there is no repeat 0, fold 3.*the last is repeat 1, fold 2", fold=3)


def test_a_file_that_is_not_there_or_no_folds_is_refused(tmp_path, file):
    refused(tmp_path / "none.csv", CASES, "none.csv cannot be read")
    (tmp_path / "else.csv").write_text("a,b\n1,2\n")
    refused(tmp_path / "else.csv", CASES, "else.csv line 1: expected the columns")


def test_a_patient_on_two_sides_of_an_edited_file_is_refused(tmp_path):
    rows = [FoldRow(0, 0, "c0", "p0", "train"), FoldRow(0, 0, "c1", "p0", "test")]
    write_folds(tmp_path / "bad.csv", rows)
    refused(tmp_path / "bad.csv", CASES[:2], "bad.csv: repeat 0, fold 0: patient p0 is in train .* and in test")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A generated cohort as `pathfuse data demo` writes it, and folds of it by `pathfuse data split`."""
    folder = tmp_path_factory.mktemp("demo")
    write_patches(folder / "cohort", WHO, PATCHES)
    out = folder / "folds.csv"
    assert (
        main(["data", "split", str(folder / "cohort"), "--folds", "3", "--duplicates", "off", "--out", str(out)]) == 0
    )
    return folder / "cohort", out


MODULES = {
    "patches": lambda cohort: PairedPatches(cohort, pictures=PATCHES, size_px=32, normalise=[]),
    "thumbnails": lambda cohort: SlideThumbnails(cohort, pictures=SlidePictures(slide_px=64), size_px=32),
    "slide patches": lambda cohort: SlidePatches(
        cohort, pictures=SlidePictures(slide_px=128), size_px=32, patches_per_bag=1, eval_patches_per_bag=1
    ),
    "bags": lambda cohort: PairedBags(cohort, pictures=BagPictures(grid=2, patch_px=8)),
    "labelled": lambda cohort: LabelledPatches(cohort, pictures=PATCHES, size_px=32),
}


@pytest.mark.parametrize("module", MODULES)
def test_folds_of_the_written_demo_cohort_split_the_built_in_one(module, demo, tmp_path):
    table, file = demo
    made = MODULES[module](Cohort(demo=WHO, folds=str(file), fold=1, cache=str(tmp_path)))
    made.loading = Loading(num_workers=0)
    expected = parts_of(read_folds(file), 0, 1)
    assert {row.case_id: row.split for row in made.split_table()} == expected
    assert {case.case_id for case in read_cases(table / "cases.csv").cases} == set(expected)
    assert made.cohort.chosen_fold == Folds("folds.csv", folds_sha256(file), 0, 1)
    train = [case for batch in made.train_dataloader() for case in batch.case_ids]
    assert set(train) <= {case for case, part in expected.items() if part == "train"}
    assert np.isin(sorted({case for b in made.test_dataloader() for case in b.case_ids}), list(expected)).all()


def test_the_fold_changes_the_fingerprint(demo, tmp_path):
    whole = Cohort(demo=WHO, cache=str(tmp_path))
    prints = {MODULES["patches"](whole.with_fold(str(demo[1]), fold=fold)).fingerprint() for fold in range(3)}
    assert len(prints) == 3


def test_the_folds_of_a_run_are_switched_off_for_other_cases():
    options = dict(with_new_cases([("cohort.cases", "new.csv")], ["0", "1+"]))
    assert (options["cohort.folds"], options["cohort.repeat"], options["cohort.fold"]) == ("null", "0", "0")
    assert options["cohort.test_on"] == "all"
    assert with_new_cases([], ["0"]) == []


def test_folds_of_a_folder_of_pairs_keep_its_groups(tmp_path, capsys):
    root = make_pairs(tmp_path / "pairs", train=16, test=0)
    names = [f"HE/train/{name}" for name in bci_names(16)]
    rows = [f"{Path(name).name},slide{number // 4 % 4}" for number, name in enumerate(names)]
    groups = write_table(tmp_path / "groups.csv", "file,group", *rows)
    out = tmp_path / "folds.csv"
    words = ["--groups", str(groups), "--folds", "2", "--duplicates", "off", "--out", str(out)]
    assert main(["data", "split", str(root), *words]) == 0
    assert {row.patient_id for row in read_folds(out)} == {f"slide{number}" for number in range(4)}
    who = Cohort(cases=str(root), groups=str(groups), folds=str(out), cache=str(tmp_path))
    made = PairedPatches(who, size_px=8)
    assert {row.case_id: row.split for row in made.split_table()} == parts_of(read_folds(out))
    ungrouped = PairedPatches(replace(who, groups=None), size_px=8)
    with pytest.raises(CaseTableError, match="belongs to patient slide0 here"):
        ungrouped.split_table()


def test_groups_are_no_option_beside_a_case_table(demo, capsys):
    assert main(["data", "split", str(demo[0]), "--groups", "g.csv"]) == 2
    assert "g.csv is not read beside" in capsys.readouterr().err
