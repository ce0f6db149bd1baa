"""Labels that are hidden from training."""

from collections import Counter
from pathlib import Path

import pytest

from pathfuse.cohort import Cohort
from pathfuse.cohort.hidden import with_hidden_labels
from pathfuse.cohort.table import Case, CaseTable
from pathfuse.errors import RecipeError

CLASSES = ("0", "1+", "2+")


def table(*counts: int, part: str = "train") -> CaseTable:
    """Two cases of each patient, so many patients of each class, and a patient of every class in the test part."""
    cases = [
        Case(f"{label}{who}-{case}", f"{label}{who}", label, part)
        for label, count in zip(CLASSES, counts, strict=True)
        for who in range(count)
        for case in (1, 2)
    ]
    cases += [Case(f"t{label}", f"t{label}", label, "test") for label in CLASSES]
    return CaseTable(Path("cases.csv"), tuple(cases), (), CLASSES)


def kept(found: CaseTable) -> set[str]:
    return {case.patient_id for case in found.cases if case.split == "train" and case.label}


def test_the_patients_that_keep_their_labels_are_spread_over_the_classes() -> None:
    found = with_hidden_labels(table(8, 8, 8), 6, 1)
    assert Counter(who[:-1] for who in kept(found)) == {"0": 2, "1+": 2, "2+": 2}
    assert len(found.cases) == len(table(8, 8, 8).cases)
    assert "Labels of 18 of 24 labelled training patients are hidden" in found.notes[-1]


def test_a_rare_class_gives_what_it_has() -> None:
    assert Counter(who[:-1] for who in kept(with_hidden_labels(table(8, 1, 8), 7, 1))) == {"0": 3, "1+": 1, "2+": 3}


def test_all_cases_of_a_patient_keep_or_lose_their_label_together() -> None:
    for case in with_hidden_labels(table(4, 4, 4), 3, 0).cases:
        assert bool(case.label) == (
            case.split == "test" or case.patient_id in kept(with_hidden_labels(table(4, 4, 4), 3, 0))
        )


def test_more_labels_are_those_of_before_and_others() -> None:
    few, more = (kept(with_hidden_labels(table(9, 9, 9), count, 5)) for count in (4, 11))
    assert few < more and len(more) == 11


def test_other_seeds_hide_others_and_other_parts_keep_all() -> None:
    one, other = (with_hidden_labels(table(9, 9, 9), 6, seed) for seed in (1, 2))
    assert kept(one) != kept(other)
    assert all(case.label for case in one.cases if case.split == "test")


def test_as_many_as_there_are_hide_none() -> None:
    whole = table(2, 2, 2)
    assert with_hidden_labels(whole, 6, 0) is whole and with_hidden_labels(whole, 99, 0) is whole


def test_a_cohort_hides_them_after_the_parts_are_known(cases: Path) -> None:
    cohort = Cohort(cases=str(cases), labelled_patients=4)
    labelled = [case for case in cohort if case.split == "train" and case.label]
    assert len({case.patient_id for case in labelled}) == 4 < len({case.patient_id for case in cohort.training})
    assert len(cohort.with_labels().training) == len(labelled)
    with pytest.raises(RecipeError, match="labelled_patients is -1"):
        Cohort(cases=str(cases), labelled_patients=-1)
