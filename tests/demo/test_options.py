from dataclasses import replace

import pytest

from pathfuse.demo import DemoCohort
from pathfuse.errors import RecipeError


@pytest.mark.parametrize(
    "change",
    [
        {"patients": 0},
        {"labelled_patients": -1},
        {"val_fraction": 0.5, "test_fraction": 0.5},
        {"test_fraction": 1.5},
        {"extra_stains": ("he",)},
        {"extra_stains": ("../er",)},
        {"missing": {"ihc": 2.0}},
        {"missing": {"er": 0.1}},
        {"sites": 0},
        {"site_effect": float("nan")},
        {"seed": -1},
    ],
    ids=str,
)
def test_an_impossible_cohort_is_refused_in_one_line(change):
    with pytest.raises(RecipeError, match="demo cohort") as caught:
        replace(DemoCohort(), **change)
    assert "\n" not in str(caught.value)
    assert next(iter(change)) in str(caught.value) or "stain" in str(caught.value)


def test_the_stains_are_h_and_e_ihc_and_those_that_are_added():
    assert DemoCohort(extra_stains=("ki67",)).modalities == ("he", "ihc", "ki67")
