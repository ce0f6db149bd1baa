import pytest

from pathfuse.core.subsets import Shown, combinations_shown

ALL = ["he", "ihc", "he+ihc"]


@pytest.mark.parametrize(
    ("given", "subset"), [(None, "he+ihc"), (("he",), "he"), (("ihc",), "ihc"), (("ihc", "he"), "he+ihc")]
)
def test_the_stains_of_training_stand_for_a_model(given, subset):
    assert Shown(given).fullest(ALL) == subset


def test_where_no_case_has_them_it_is_the_fullest():
    assert Shown(("he",)).fullest(["ihc", "ki67+ihc"]) == "ki67+ihc"


@pytest.mark.parametrize(
    ("combinations", "trained"),
    [(("he+ihc",), ["he+ihc"]), (("ihc+he", "he"), ["he", "he+ihc"]), (None, ALL), (("ki67",), ALL)],
)
def test_a_combination_that_training_never_had_is_not_one_that_was_trained(combinations, trained):
    assert Shown(None, combinations).trained(ALL) == trained


@pytest.mark.parametrize(
    ("he", "ihc", "dropout", "seen"),
    [
        ([1, 1], [1, 1], {}, ["he+ihc"]),
        ([1, 1], [1, 0], {}, ["he", "he+ihc"]),
        ([1, 1], [1, 1], {"ihc": 0.4}, ["he", "he+ihc"]),
        ([1, 1], [1, 1], {"he": 0.2, "ihc": 0.4}, ALL),
        ([1, 1], [1, 1], {"ihc": 1.0}, ["he"]),
        ([1, 1], [1, 1], {"he": 1.0, "ihc": 1.0}, ["he+ihc"]),  # where all would go, none does
        ([1, 0], [0, 1], {}, ["he", "ihc"]),
    ],
)
def test_training_shows_what_cases_have_and_what_is_left_after_hiding(he, ihc, dropout, seen):
    assert combinations_shown({"he": he, "ihc": ihc}, ("he", "ihc"), dropout) == seen
