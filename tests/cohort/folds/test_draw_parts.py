from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.cohort.folds.draw_parts import draw_parts
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError

DRAW = {"val_fraction": 0.3, "test_fraction": 0.2, "seed": 0}


def cohort(sizes: dict[str, int], split: str = "") -> list[Case]:
    return [Case(f"{label}-{n}", f"p{label}-{n}", label, split) for label, size in sizes.items() for n in range(size)]


def counts(cases: list[Case], part: str) -> Counter:
    return Counter(case.label for case in cases if case.split == part)


def test_parts_are_drawn_with_equal_shares_of_every_class():
    cases, _ = draw_parts(cohort({"a": 100, "b": 50}), **DRAW)
    assert counts(cases, "test") == {"a": 20, "b": 10}
    assert counts(cases, "val") == {"a": 24, "b": 12}
    assert counts(cases, "train") == {"a": 56, "b": 28}


def test_given_parts_stay_and_validation_comes_out_of_training():
    source = cohort({"a": 10, "b": 10}, "train") + cohort({"c": 4}, "test")
    cases, _ = draw_parts(source, **DRAW)
    assert [case.case_id for case in cases] == [case.case_id for case in source]
    assert all(now.split == "test" for now, was in zip(cases, source, strict=True) if was.split == "test")
    assert counts(cases, "val") == {"a": 3, "b": 3}


def test_a_given_validation_part_is_kept():
    source = cohort({"a": 10}, "train") + cohort({"b": 3}, "val")
    assert draw_parts(source, **DRAW)[0] == source


def test_the_seed_decides_and_the_order_of_the_cases_does_not():
    source = cohort({"a": 30, "b": 30})
    first = {case.case_id: case.split for case in draw_parts(source, **DRAW)[0]}
    again = {case.case_id: case.split for case in draw_parts(source[::-1], **DRAW)[0]}
    other = {case.case_id: case.split for case in draw_parts(source, **{**DRAW, "seed": 1})[0]}
    assert first == again != other


def test_a_class_too_small_goes_to_training_and_that_is_said():
    cases, notes = draw_parts(cohort({"0": 1, "1+": 4, "2+": 11, "3+": 8}), **DRAW)
    assert counts(cases, "train")["0"] == 1
    assert "Class 0 is too small for val and stays in training." in notes
    assert "The val part has no case of 0." in notes


def test_training_on_one_class_is_said():
    cases = cohort({"a": 4}, "train") + cohort({"b": 4}, "val")
    _, notes = draw_parts(cases, **DRAW)
    assert any("only one class" in note for note in notes)


def test_a_patient_on_both_sides_is_refused_with_both_cases_named():
    cases = [Case("1", "p", "a", "train"), Case("2", "p", "a", "test")]
    with pytest.raises(CaseTableError, match=r"patient p is in train \(case 1\) and in test \(case 2\)"):
        draw_parts(cases, **DRAW)
    drawn, _ = draw_parts(cases, **DRAW, redraw=True)
    assert len({case.split for case in drawn}) == 1


@given(
    people=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), min_size=1, max_size=30),
    val=st.floats(0, 0.9),
    test=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
@settings(max_examples=100)
def test_no_patient_ever_crosses_parts(people, val, test, seed):
    source = [Case(f"{n}-{k}", f"p{n}", label, "") for n, (label, count) in enumerate(people) for k in range(count)]
    cases, _ = draw_parts(source, val_fraction=val, test_fraction=test, seed=seed)
    parts = {}
    for case in cases:
        assert parts.setdefault(case.patient_id, case.split) == case.split
    assert "train" in parts.values()
    for label, count in Counter(label for label, _ in people).items():
        if count == 1:
            assert all(case.split == "train" for case in cases if case.label == label)
