import pytest

from pathfuse.core.subsets import as_trained

ALL = ["he", "ihc", "he+ihc"]


@pytest.mark.parametrize(
    ("given", "subset"), [(None, "he+ihc"), (["he"], "he"), (["ihc"], "ihc"), (["ihc", "he"], "he+ihc")]
)
def test_the_stains_of_training_stand_for_a_model(given, subset):
    assert as_trained(ALL, given) == subset


def test_where_no_case_has_them_it_is_the_fullest():
    assert as_trained(["ihc", "ki67+ihc"], ["he"]) == "ki67+ihc"
