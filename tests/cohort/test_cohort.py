"""The cohort: who is in it, what other cohorts are made of it, and when its files are read."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from pathfuse.cohort import Case, Cohort
from pathfuse.cohort.folds.draw import draw_folds
from pathfuse.cohort.folds.file import parts_of, read_folds, write_folds
from pathfuse.demo import BagPictures, DemoCohort, PatchPictures, SlidePictures
from pathfuse.errors import CaseTableError, RecipeError
from tests.conftest import CLASSES, write_cases
from tests.data.pairs import make_flat, write_table
from tests.store import foreign

DEMO = DemoCohort(patients=12)
PATCHES = PatchPictures(cases_per_patient=2, size_px=16)


@pytest.fixture
def table(tmp_path):
    return write_cases(tmp_path, size_px=8)


@pytest.fixture
def who(table):
    return Cohort(cases=str(table), cache=str(table.parent / "cache"))


def ids(cohort):
    return [case.case_id for case in cohort]


def unlabel(table, wanted):
    """Empties the label of the cases that are wanted."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": "" if wanted(row) else row["label"]} for row in rows)


# --- the cases ---


def test_a_cohort_is_its_cases_in_table_order(who, table):
    assert len(who) == 16 and ids(who) == [f"c{number:03d}" for number in range(16)]
    assert who.origin == table and who.class_names == CLASSES and who.chosen_fold is None
    assert all(isinstance(case, Case) and set(case.files) == {"he", "ihc"} for case in who)
    assert not who.generated


def test_what_a_path_was_taken_for_is_said(who, table):
    assert f"{table} was taken for a case table." in who.notes
    folder = replace(who, cases=str(table.parent))
    assert f"{table.parent} was taken for a case table." in folder.notes and ids(folder) == ids(who)


def test_nothing_is_read_before_somebody_asks(tmp_path):
    late = Cohort(cases=str(tmp_path / "later.csv"), folds=str(tmp_path / "folds.csv"))
    with pytest.raises(CaseTableError, match=r"later\.csv does not exist"):
        len(late)
    write_cases(tmp_path).rename(tmp_path / "later.csv")
    with pytest.raises(CaseTableError, match=r"folds\.csv cannot be read"):
        len(late)
    assert len(late.unparted.cases) == 16  # that needs no parts


def test_without_any_source_there_are_the_demo_patients_and_no_file_is_drawn(tmp_path):
    cohort = Cohort(demo=DEMO, cache=str(tmp_path / "cache"))
    assert cohort.generated and len(cohort) == 12 and cohort.class_names == CLASSES
    assert not any(case.files for case in cohort)
    assert {case.split for case in cohort} == {"train", "val", "test"}
    assert "generated" in cohort.notes[0]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("given", [True, False])
def test_the_cache_is_the_named_folder_or_the_users(given, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    cohort = Cohort(cache=str(tmp_path / "own") if given else None)
    assert cohort.cache_folder == (tmp_path / "own" if given else tmp_path / "users" / "pathfuse")
    monkeypatch.delenv("XDG_CACHE_HOME")
    if not given:
        assert cohort.cache_folder == Path.home() / ".cache" / "pathfuse"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mpp": 0.0}, r"cohort\.mpp is 0\.0"),
        ({"mpp": float("nan")}, r"cohort\.mpp is nan"),
        ({"stores": {"he": "x"}}, r"cohort\.stores needs the labels of its cases; name their table with cohort\.cases"),
        ({"cases": {"he": "a.csv"}}, r"a label table per stain; name their features with cohort\.stores"),
        ({"label_map": "low_high"}, r"cohort\.label_map is 'low_high'"),
        ({"label_map": "positive", "classes": ["3+"]}, r"cohort\.classes names '3\+'"),
        ({"val_fraction": 1.0}, r"cohort\.val_fraction is 1\.0"),
        ({"test_fraction": -0.1}, r"cohort\.test_fraction is -0\.1"),
        ({"fold": 1}, r"cohort\.fold is 1, but there is no cohort\.folds"),
        ({"folds": "f.csv", "split": "drawn"}, r"cohort\.split is drawn, but cohort\.folds"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once_in_one_line(options, told):
    with pytest.raises(RecipeError, match=told) as caught:
        Cohort(**options)
    assert "\n" not in str(caught.value)


def test_a_label_column_may_have_any_name(tmp_path):
    path = write_table(tmp_path / "t.csv", "case_id,patient_id,HER2,split", "1,p,3+,train", "2,q,0,test")
    assert [case.label for case in Cohort(cases=str(path), columns={"label": "HER2"})] == ["3+", "0"]
    assert [case.label for case in Cohort(cases=str(path))] == ["3+", "0"]


# --- restricted ---


def test_a_restricted_cohort_counts_who_left_and_why(who):
    fewer = who.restricted({f"c{number:03d}" for number in range(12)}, "no row in expression.csv")
    assert len(fewer) == 12 and len(who) == 16
    assert "4 of 16 cases are left out: no row in expression.csv." in fewer.notes
    assert [(step.step, step.cases) for step in fewer.table.flow_steps()][:3] == [
        ("in the table", 16), ("left out: no row in expression.csv", 4), ("in use", 12),
    ]  # fmt: skip


def test_a_rule_restricts_as_names_do(who):
    chosen = [case.case_id for case in who if case.label in ("0", "3+")]
    one = who.restricted(lambda case: case.label in ("0", "3+"), "another score")
    assert ids(one) == ids(who.restricted(chosen, "another score")) == chosen


def test_where_everybody_stays_nothing_is_said(who):
    assert who.restricted(lambda case: True, "nothing").notes == who.notes


def test_a_restricted_cohort_may_be_restricted_again_and_adds_up(who):
    twice = who.restricted(lambda c: c.label != "0", "score 0").restricted(lambda c: c.label != "1+", "score 1+")
    steps = [(step.step, step.cases) for step in twice.table.flow_steps()]
    assert steps[:4] == [("in the table", 16), ("left out: score 0", 4), ("left out: score 1+", 4), ("in use", 8)]


def test_nobody_left_is_one_line_with_the_reason(who):
    with pytest.raises(CaseTableError, match=r"cases\.csv: no case is left: no row in expression\.csv") as caught:
        who.restricted([], "no row in expression.csv")
    assert "\n" not in str(caught.value)


def test_classes_stay_when_the_last_case_of_one_leaves(who):
    assert who.restricted(lambda case: case.label != "3+", "3+").class_names == CLASSES


# --- with_fold ---


@pytest.fixture
def folds(who, tmp_path):
    write_folds(tmp_path / "folds.csv", draw_folds(list(who), folds=2, repeats=2).rows)
    return str(tmp_path / "folds.csv")


@pytest.mark.parametrize(("repeat", "fold"), [(0, 0), (0, 1), (1, 1)])
def test_a_fold_gives_the_parts_and_is_named(who, folds, repeat, fold):
    other = who.with_fold(folds, repeat=repeat, fold=fold)
    assert {case.case_id: case.split for case in other} == parts_of(read_folds(Path(folds)), repeat, fold)
    assert (other.chosen_fold.repeat, other.chosen_fold.fold) == (repeat, fold)
    assert who.chosen_fold is None and [c.split for c in who] != [c.split for c in other]


def test_a_fold_wins_over_parts_that_were_to_be_drawn(who, folds):
    drawn = replace(who, split="drawn")
    assert {c.case_id: c.split for c in drawn.with_fold(folds)} == {c.case_id: c.split for c in who.with_fold(folds)}


def test_a_fold_keeps_what_a_data_module_made_of_the_cohort(who, folds):
    fewer = who.of_modalities(["he"]).restricted(lambda case: case.case_id != "c000", "blurred")
    placed = fewer.with_fold(folds, fold=1)
    assert ids(placed) == ids(fewer) and all(list(case.files) == ["he"] for case in placed)
    assert "1 cases of folds.csv are not in use here." in placed.notes


# --- of_new_cases ---


def test_new_cases_are_all_for_testing_may_lack_stains_and_have_the_classes_of_the_model(who, folds, tmp_path):
    (tmp_path / "new").mkdir()
    path = write_cases(tmp_path / "new", patients=4, stains=("he",), size_px=8)
    unlabel(path, lambda row: True)
    trained = replace(who, folds=folds, fold=1, repeat=1, groups="groups.csv", missing="error")
    new = trained.of_new_cases(["0", "1+", "2+", "3+"], {"cases": str(path)})
    assert {case.split for case in new} == {"test"} and {case.label for case in new} == {""}
    assert new.class_names == CLASSES and new.chosen_fold is None
    assert (new.groups, new.folds, new.missing, new.fold, new.repeat) == (None, None, "allow", 0, 0)
    assert new.of_modalities(["he", "ihc"]).table.modalities == ("he", "ihc")
    assert new.cache == who.cache  # what is no part of the cases stays


def test_what_is_said_of_new_cases_wins(who, table):
    new = who.of_new_cases(list(CLASSES), {"cases": str(table), "missing": "error", "test_on": "test"})
    assert (new.missing, new.test_on) == ("error", "test") and {c.split for c in new} == {"train", "val", "test"}


def test_new_cases_forget_who_was_left_out_before(who, table):
    fewer = who.restricted(["c000"], "for a trial")
    assert len(fewer.of_new_cases(list(CLASSES), {"cases": str(table)})) == 16


# --- with_labels ---


def test_where_labels_are_needed_unlabelled_training_cases_leave_with_one_note(table, who):
    unlabel(table, lambda row: row["case_id"] in ("c001", "c002", "c004", "c007"))  # train, train, val, test
    assert len(who) == 16
    labelled = who.with_labels()
    assert len(labelled) == 14 and {"c001", "c002"}.isdisjoint(ids(labelled))
    assert {"c004", "c007"} <= set(ids(labelled))  # other parts are not learned from
    said = [note for note in labelled.notes if "left out" in note]
    assert said == ["2 of 8 training cases have no label and are left out, first c001."]
    assert ("left out: no label in training", 2) in [(s.step, s.cases) for s in labelled.table.flow_steps()]


def test_where_every_training_case_has_a_label_nothing_is_said(who):
    assert who.with_labels().notes == who.notes and len(who.with_labels()) == 16


def test_no_label_at_all_is_an_error_where_labels_are_needed(table, who):
    unlabel(table, lambda row: row["split"] == "train")
    assert len(who) == 16
    with pytest.raises(CaseTableError, match="no training case has a label, and this model learns from labels") as told:
        len(who.with_labels())
    assert "\n" not in str(told.value)


def test_names_of_pairs_without_a_score_are_told_how_to_hold_one(tmp_path):
    pairs = Cohort(cases=str(make_flat(tmp_path / "new", ["a.png", "b.png"])), val_fraction=0.0, test_fraction=0.0)
    assert [case.label for case in pairs] == ["", ""]
    with pytest.raises(CaseTableError, match=r"new: no training case has a label.* Name files NNNNN_split_SCORE\.png"):
        len(pairs.with_labels())


def test_labels_are_still_needed_in_every_fold(table, folds, who):
    unlabel(table, lambda row: row["case_id"] == "c001")
    for fold in range(2):
        placed = who.with_labels().with_fold(folds, fold=fold)
        assert ("c001" in ids(placed)) == (parts_of(read_folds(Path(folds)), 0, fold)["c001"] != "train")


def test_labels_are_still_needed_after_the_cohort_was_restricted(table, who):
    unlabel(table, lambda row: row["case_id"] == "c001")
    assert "c001" not in ids(who.with_labels().restricted(lambda case: case.case_id != "c000", "blurred"))
    assert "c001" not in ids(who.with_labels().of_modalities(["he"]))


def test_without_a_training_part_no_label_is_missed(table, who):
    unlabel(table, lambda row: True)
    assert len(replace(who, test_on="all", classes=list(CLASSES)).with_labels()) == 16


def test_the_demo_cohort_may_know_few_labels_equally_often_for_every_score(tmp_path):
    who = Cohort(demo=DemoCohort(patients=24, labelled_patients=8), cache=str(tmp_path))
    assert who.with_labels().table.class_counts() == (2, 2, 2, 2)
    assert len(who) > len(who.with_labels())


# --- drawn ---


@pytest.mark.parametrize(
    ("pictures", "cases", "ending"),
    [(PATCHES, 24, ".png"), (SlidePictures(slide_px=64), 12, ".png"), (BagPictures(grid=1, patch_px=8), 12, ".h5")],
    ids=["patches", "slides", "bags"],
)
def test_whatever_is_drawn_the_patients_are_the_same(pictures, cases, ending, tmp_path):
    who = Cohort(demo=DEMO, cache=str(tmp_path / "cache"))
    drawn = who.drawn(pictures)
    assert len(drawn) == cases and not drawn.generated
    facts = {case.patient_id: (case.label, case.split, case.site) for case in who}
    assert {case.patient_id: (case.label, case.split, case.site) for case in drawn} == facts
    assert {file.path.suffix for case in drawn for own in case.files.values() for file in own} == {ending}
    assert drawn.origin.parent.parent == tmp_path / "cache"
    assert "generated" in drawn.notes[0]


def test_drawn_patients_have_merged_labels_and_folds(tmp_path):
    who = Cohort(demo=DEMO, label_map="zero_low_high", cache=str(tmp_path / "cache"))
    drawn = who.drawn(PATCHES)
    assert drawn.class_names == ("0", "low", "high") == who.class_names
    write_folds(tmp_path / "folds.csv", draw_folds(list(drawn), folds=2).rows)
    placed = drawn.with_fold(str(tmp_path / "folds.csv"), fold=1)
    assert {c.case_id: c.split for c in placed} == parts_of(read_folds(tmp_path / "folds.csv"), 0, 1)


# --- of_modalities ---


def test_a_folder_of_pairs_may_lack_nothing_and_a_table_may(tmp_path, table):
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith("c001,p001,ihc")) + "\n")
    assert len(Cohort(cases=str(table)).of_modalities(["he", "ihc"])) == 16
    with pytest.raises(CaseTableError, match="1 cases have no ihc image, first c001"):
        Cohort(cases=str(table), missing="error").of_modalities(["he", "ihc"])


def test_only_the_stores_that_are_wanted_are_looked_into(tmp_path):
    foreign.trident(tmp_path / "he" / "x.h5", foreign.features(3, 4), foreign.grid(3))
    labels = write_table(tmp_path / "l.csv", "case_id,label", "x,0")
    who = Cohort(cases=str(labels), stores={"he": str(tmp_path / "he"), "ihc": str(tmp_path / "none")})
    assert ids(who.of_modalities(["he"])) == ["x"]
