import pytest

from pathfuse.errors import RecipeError
from pathfuse.nn.options import check_counts, check_once, check_shares


def test_what_can_be_built_is_let_through():
    check_counts("X", {"dim": 1, "hidden": None})
    check_shares("X", {"dropout": 0.0, "other": 1.0})
    check_once("X", None)
    check_once("X", ["he", "ihc"])


@pytest.mark.parametrize("value", [0, -3])
def test_a_count_below_one_is_one_line_with_option_and_next_step(value):
    with pytest.raises(RecipeError, match=rf"^X\.dim is {value}; give 1 or more\.$"):
        check_counts("X", {"hidden": 4, "dim": value})


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_share_outside_its_range_is_one_line_with_option_and_next_step(value):
    with pytest.raises(RecipeError, match=rf"^X\.dropout is {value}; give a share from 0 to 1\.$"):
        check_shares("X", {"dropout": value})


def test_a_modality_named_twice_is_one_line():
    with pytest.raises(RecipeError, match=r"^X\.modalities is he, ihc, he; name each modality once\.$"):
        check_once("X", ["he", "ihc", "he"])
