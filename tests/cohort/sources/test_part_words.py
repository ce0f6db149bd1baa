"""Parts in other words and columns, and spacings that a label table gives to slides."""

from pathlib import Path

import pytest

from pathfuse.cohort.sources.label_tables import read_labels
from pathfuse.cohort.sources.part_words import part_columns, part_of
from pathfuse.cohort.sources.stores import read_stores
from pathfuse.errors import CaseTableError
from tests.cohort.natural import stores, table


@pytest.mark.parametrize(
    ("word", "part"),
    [("train", "train"), ("Training", "train"), ("VALIDATION", "val"), ("dev", "val"), ("hold-out", "test"),
     ("Test set", "test"), ("fold 1", ""), ("", "")],
)  # fmt: skip
def test_a_word_is_a_part(word, part):
    assert part_of(word) == part


def test_a_column_of_parts_has_training_and_nothing_else():
    cells = {"a": ["train", "dev", ""], "b": ["test", "test", "val"], "c": ["train", "other", "test"]}
    assert part_columns(cells, cells) == ["a"]


def test_parts_are_read_from_a_column_of_a_usual_name_and_others_are_said(tmp_path: Path):
    path = table(tmp_path / "t.csv", "case,label,Set", ["A,x,Training", "B,y,Testing"])
    rows, notes = read_labels(path)
    assert [row.split for row in rows] == ["train", "test"] and "Parts: Training is train, Testing is test." in notes
    path = table(tmp_path / "t.csv", "case,label,round", ["A,x,train", "B,y,test"])
    rows, notes = read_labels(path)
    assert [row.split for row in rows] == ["", ""] and rows[0].more == {"round": "train"}
    assert any("round may say which part a case is in and is not read" in note for note in notes)


def test_the_spacing_of_a_slide_may_differ_within_a_case(tmp_path: Path):
    stores(tmp_path, ["A_1", "A_2"])
    path = table(tmp_path / "t.csv", "case;slide;mpp;label", ["A;A_1;0,25;x", "A;A_2;0.5;x"])
    (case,) = read_stores({"he": tmp_path / "he"}, path).cases
    assert [(file.path.stem, file.mpp) for file in case.files["he"]] == [("A_1", 0.25), ("A_2", 0.5)]
    table(tmp_path / "t.csv", "case,mpp,label", ["A,352.8,x"])
    with pytest.raises(CaseTableError, match=r"line 2: mpp '352\.8' is no number between 0\.05 and 40"):
        read_labels(tmp_path / "t.csv")
