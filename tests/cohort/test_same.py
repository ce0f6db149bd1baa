"""Files and ids that stand for two cases."""

from pathlib import Path

import pytest
from PIL import Image

from pathfuse.cohort.same import check_same, spelling
from pathfuse.cohort.table import Case, CaseFile
from pathfuse.errors import CaseTableError

ORIGIN = Path("t.csv")


def case(name, file, *, patient=None, label="a", split="train"):
    return Case(name, patient or name, label, split, files={"he": (CaseFile(Path("/x") / file),)})


def test_different_files_and_ids_say_nothing():
    assert check_same([case("1-12", "a"), case("11-2", "b", label="b", split="test")], ORIGIN) == []


@pytest.mark.parametrize("other", [{"split": "test"}, {"label": "b"}])
def test_a_file_in_two_parts_or_with_two_labels_is_refused(other):
    with pytest.raises(CaseTableError, match=r"t\.csv: cases A and X have one file, a\.h5"):
        check_same([case("A", "a.h5"), case("X", "a.h5", **other)], ORIGIN)


def test_a_file_twice_in_one_part_with_one_label_is_said():
    (note,) = check_same([case("A", "a.h5"), case("X", "a.h5")], ORIGIN)
    assert "cases A and X have one file" in note


def test_a_link_to_a_folder_does_not_hide_that_a_file_is_the_same(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cases = [case("A", tmp_path / "real" / "a"), case("X", tmp_path / "link" / "a", split="test")]
    with pytest.raises(CaseTableError, match="have one file"):
        check_same(cases, ORIGIN)


@pytest.mark.parametrize(("one", "two"), [("P1", "p1"), ("P-1", "P1"), ("P 1", "P_1"), ("007", "7"), ("P01", "P1")])
def test_ids_that_differ_in_spelling_alone_are_one_patient(one, two):
    assert spelling(one) == spelling(two)
    cases = [case("a", "a", patient=one), case("b", "b", patient=two, split="test")]
    with pytest.raises(CaseTableError, match="look like one"):
        check_same(cases, ORIGIN)
    assert check_same(cases, ORIGIN, ids=False) == []


def test_cases_of_one_patient_may_have_a_label_each():
    (note,) = check_same([case("a", "a", patient="P1"), case("b", "b", patient="p1", label="b")], ORIGIN)
    assert "patients 'P1' and 'p1' look like one" in note


def test_one_file_as_two_stains_is_said():
    both = Case("A", "A", files={m: (CaseFile(Path("/x/a.h5")),) for m in ("he", "ihc")})
    assert "A has a.h5 as he and ihc" in check_same([both], ORIGIN)[0]


def test_equal_files_are_said_and_those_of_two_parts_first(tmp_path):
    for name, content in (
        ("a.bin", b"x" * 9000),
        ("b.bin", b"x" * 9000),
        ("c.bin", b"x" * 8999 + b"y"),
        ("d.bin", b"x" * 9000),
    ):
        (tmp_path / name).write_bytes(content)
    cases = [case(n, tmp_path / f"{n}.bin", split="test" if n == "d" else "train") for n in "abcd"]
    (note,) = check_same(cases, ORIGIN)
    assert "cases a and d (train and test) have equal files, a.bin and d.bin" in note and "(1 more such pairs.)" in note


def test_what_says_nothing_is_no_copy(tmp_path):
    for name in "ab":
        Image.new("RGB", (64, 64), "white").save(tmp_path / f"{name}.png")
    assert check_same([case(n, tmp_path / f"{n}.png") for n in "ab"], ORIGIN) == []


def test_a_patient_with_two_labels_is_said():
    (note,) = check_same([case("a", "a", patient="P"), case("b", "b", patient="P", label="b")], ORIGIN)
    assert "1 patient has cases with different labels, first P (a, b)" in note
