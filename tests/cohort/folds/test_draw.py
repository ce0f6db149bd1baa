import warnings
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.cohort.folds.check import WARNING, by_place, check_folds
from pathfuse.cohort.folds.draw import draw_folds
from pathfuse.cohort.folds.file import FoldRow
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError


def cohort(sizes, per_patient=2, sites=0):
    """`sizes`: patients per label."""
    people = [(label, number) for label, size in sizes.items() for number in range(size)]
    return [
        Case(f"{label}-{number}-{k}", f"{label}-{number}", label, site=f"s{index % sites}" if sites else "")
        for index, (label, number) in enumerate(people)
        for k in range(per_patient)
    ]


def parts(rows):
    return {place: {row.case_id: row.part for row in own} for place, own in by_place(rows).items()}


def test_every_case_is_tested_once_per_repeat_and_validates_elsewhere():
    cases = cohort({"a": 20, "b": 10})
    found = draw_folds(cases, folds=5, repeats=2)
    assert set(parts(found.rows)) == {(repeat, fold, 0) for repeat in range(2) for fold in range(5)}
    tested = Counter((row.repeat, row.case_id) for row in found.rows if row.part == "test")
    assert set(tested.values()) == {1} and len(tested) == 2 * len(cases)
    first, second = ({p: o for p, o in parts(found.rows).items() if p[0] == repeat} for repeat in range(2))
    assert list(first.values()) != list(second.values())


def test_classes_are_spread_evenly_over_every_part():
    cases = cohort({"a": 50, "b": 25}, per_patient=1)
    label = {case.case_id: case.label for case in cases}
    for own in parts(draw_folds(cases).rows).values():
        counts = {
            part: Counter(label[case] for case, p in own.items() if p == part) for part in ("train", "val", "test")
        }
        assert counts == {"test": {"a": 10, "b": 5}, "val": {"a": 8, "b": 4}, "train": {"a": 32, "b": 16}}


PEOPLE = st.lists(st.tuples(st.sampled_from("aab"), st.integers(1, 4), st.integers(0, 5)), min_size=8, max_size=30)


@settings(max_examples=40)
@given(PEOPLE, st.integers(2, 4), st.integers(0, 50), st.sampled_from([0, 2]), st.booleans())
def test_no_patient_or_site_is_ever_on_two_sides(people, folds, seed, nested, by_site):
    cases = [
        Case(f"{n}-{k}", f"p{n}", lab, site=f"s{s}") for n, (lab, count, s) in enumerate(people) for k in range(count)
    ]
    try:
        found = draw_folds(cases, folds=folds, seed=seed, nested=nested, site="site" if by_site else None)
    except CaseTableError:
        return  # too few sites, or a class that cannot be in every training part
    site = {case.case_id: case.site for case in cases}
    for own in by_place(found.rows).values():
        sides = defaultdict(set)
        for row in own:
            sides["p", row.patient_id].add(row.part)
            if by_site:
                sides["s", site[row.case_id]].add(row.part == "test")
        assert all(len(seen) == 1 for seen in sides.values())
        assert {row.part for row in own} == {"train", "val", "test"}
        assert Counter(row.case_id for row in own) == Counter(case.case_id for case in cases)


def test_the_seed_decides_and_the_order_of_the_cases_does_not():
    cases = cohort({"a": 12, "b": 12})
    assert draw_folds(cases, seed=3).rows == draw_folds(cases[::-1], seed=3).rows
    assert draw_folds(cases, seed=3).rows != draw_folds(cases, seed=4).rows


def test_sites_are_tested_whole_and_validate_whole():
    cases = cohort({"a": 24, "b": 24}, per_patient=1, sites=8)
    site = {case.case_id: case.site for case in cases}
    for own in parts(draw_folds(cases, folds=4, site="site").rows).values():
        seen = {part: {site[case] for case, p in own.items() if p == part} for part in ("train", "val", "test")}
        assert len(seen["test"]) == 2 and not seen["test"] & (seen["train"] | seen["val"])
        assert not seen["val"] & seen["train"]


def test_too_few_sites_validate_by_patient_and_say_so():
    found = draw_folds(cohort({"a": 12, "b": 12}, sites=3), folds=3, site="site")
    assert any("too few sites to validate on whole ones" in note for note in found.notes)


def test_nested_folds_validate_every_training_case_once():
    found = draw_folds(cohort({"a": 12, "b": 12}), folds=3, nested=4)
    assert len(parts(found.rows)) == 12
    for fold in range(3):
        outer = [own for place, own in parts(found.rows).items() if place[1] == fold]
        tests = [{case for case, part in own.items() if part == "test"} for own in outer]
        assert all(test == tests[0] for test in tests)
        validated = Counter(case for own in outer for case, part in own.items() if part == "val")
        assert set(validated.values()) == {1} and set(validated) == set(outer[0]) - tests[0]


def test_a_class_too_small_for_every_part_is_said_loudly_and_stays_in_training():
    found = draw_folds(cohort({"a": 20, "b": 20, "rare": 3}))
    assert found.notes[0].startswith(WARNING)
    assert any("the test part has no case of rare" in note for note in found.notes)
    label = {case.case_id: case.label for case in cohort({"a": 20, "b": 20, "rare": 3})}
    for own in parts(found.rows).values():
        assert any(label[case] == "rare" and part == "train" for case, part in own.items())


def test_a_class_of_one_patient_cannot_be_learnt_when_it_is_tested():
    with pytest.raises(CaseTableError, match=r"training part has no case of lone, which then .* cohort\.label_map"):
        draw_folds(cohort({"a": 10, "b": 10, "lone": 1}))


def test_a_missing_class_is_noticed_whatever_is_spread_evenly():
    def graded(sizes):
        return [replace(case, labels={"grade": "g1"}) for case in cohort(sizes)]

    for column in ("none", "grade"):
        notes = draw_folds(graded({"a": 20, "b": 20, "rare": 4}), stratify=column).notes
        assert any("has no case of rare" in note for note in notes), column
        with pytest.raises(CaseTableError, match="has no case of lone"):
            draw_folds(graded({"a": 10, "b": 10, "lone": 1}), stratify=column)


def test_all_classes_smaller_than_the_number_of_folds_still_make_folds():
    cases = [replace(case, label="" if case.label == "c" else case.label) for case in cohort({"a": 3, "b": 3, "c": 3})]
    found = draw_folds(cases, folds=4, stratify="none")
    assert len(parts(found.rows)) == 4


def test_warnings_of_the_splitter_do_not_reach_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_folds(cohort({"a": 20, "b": 2}))


def test_a_group_that_divides_a_patient_is_refused_by_name():
    cases = cohort({"a": 8, "b": 8})
    with pytest.raises(CaseTableError, match=r"patient a-0 has case_id a-0-0 \(case a-0-0\) and a-0-1 .* on two sides"):
        draw_folds(cases, group="case_id")
    moved = [replace(case, site=f"s{n % 4}") for n, case in enumerate(cases)]
    with pytest.raises(CaseTableError, match="patient a-0 has site s0"):
        draw_folds(moved, site="site")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "choose 2 folds or more"),
        ({"val_fraction": 1.0}, "a fraction between 0 and 1"),
        ({"nested": 1}, "0 or at least 2 nested folds"),
        ({"folds": 40}, "16 different patient_id do not fill 40 test folds"),
        ({"group": "slide"}, "no column 'slide'; it has label, site, case_id, patient_id"),
        ({"site": "site"}, "case a-0-0 has no site"),
    ],
)
def test_impossible_wishes_are_refused(options, message):
    with pytest.raises(CaseTableError, match=message):
        draw_folds(cohort({"a": 8, "b": 8}), **options)


def rows_of(assignment, cases):
    return [FoldRow(0, 0, case.case_id, case.patient_id, part) for case, part in zip(cases, assignment, strict=True)]


PLANTED = [Case("1", "p", "a"), Case("2", "p", "a"), Case("3", "q", "a"), Case("4", "r", "a")]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (["train", "test", "val", "test"], r"patient p is in train \(case 1\) and in test \(case 2\)"),
        (["train", "val", "val", "test"], r"patient p is in train \(case 1\) and in val \(case 2\)"),
        (["train", "train", "train", "test"], "there is no val part"),
        (["train", "train", "val", "val"], "there is no test part"),
    ],
)
def test_planted_leaks_are_refused(assignment, message):
    with pytest.raises(CaseTableError, match=message):
        check_folds(rows_of(assignment, PLANTED), PLANTED)


def test_a_test_fold_that_also_selects_is_refused():
    rows = [*rows_of(["train", "train", "val", "test"], PLANTED), FoldRow(0, 0, "4", "r", "val")]
    with pytest.raises(
        CaseTableError, match=r"case 4 is in val and in test\. The cases that choose the checkpoint may not"
    ):
        check_folds(rows, PLANTED)


def test_splits_of_another_cohort_are_refused():
    rows = rows_of(["train", "train", "val", "test"], PLANTED)
    with pytest.raises(CaseTableError, match="case 4 is not in the case table"):
        check_folds(rows, PLANTED[:3])
    with pytest.raises(CaseTableError, match="case 4 belongs to patient r here, but to x"):
        check_folds(rows, [*PLANTED[:3], Case("4", "x", "a")])
    assert check_folds(rows, [*PLANTED, Case("5", "s", "a")]) == ["repeat 0, fold 0: 1 of 5 cases are in no part."]


def test_over_a_hundred_label_permutations_the_area_of_a_trained_model_covers_one_half():
    """Labels that say nothing about the features, one held-out fold: a leak would lift the interval above one half."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    from pathfuse.evaluate.metrics.ranking import area
    from pathfuse.evaluate.metrics.resampling import bootstrap, percentile_interval

    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 2)
    features = generator.normal(size=(60, 4))[patients] + 0.1 * generator.normal(size=(120, 4))
    covered = 0
    for seed in range(100):
        labels = generator.permutation(np.arange(60) % 2)[patients]
        cases = [
            Case(f"{n:03d}", f"p{p:02d}", str(label)) for n, (p, label) in enumerate(zip(patients, labels, strict=True))
        ]
        own = next(iter(parts(draw_folds(cases, folds=2, seed=seed).rows).values()))
        part = np.array([own[case.case_id] for case in cases])
        model = LinearDiscriminantAnalysis().fit(features[part != "test"], labels[part != "test"])
        test = part == "test"
        owner = np.unique(patients[test], return_inverse=True)[1]
        scorer = area(model.decision_function(features[test]), labels[test] == 1)
        low, high = percentile_interval(bootstrap({0: scorer}, owner, draws=300, seed=seed)[0])
        covered += low <= 0.5 <= high
    assert covered >= 90
