import pytest

from pathfuse.errors import RecipeError
from pathfuse.nn import check_counts, check_once, check_shares, modality_of, modality_of_kind
from pathfuse.testing import BAGS_AND_VECTOR


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


def test_a_modality_is_found_by_its_name_and_kind():
    assert modality_of(BAGS_AND_VECTOR, "he", "X").kind == "features"
    assert modality_of_kind(BAGS_AND_VECTOR, "clinical", "vector", "X").width == 5


def test_an_unknown_modality_is_one_line_with_a_guess():
    line = r"^X: the data has no modality 'clinicl', only he, ihc, clinical\. Did you mean clinical\?$"
    with pytest.raises(RecipeError, match=line):
        modality_of_kind(BAGS_AND_VECTOR, "clinicl", "vector", "X")


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("clinical", "features", "clinical comes as vector, and this reads bags of features. Use VectorEncoder"),
        ("he", "image", "he comes as features, and this reads one image per case. Use BagEncoder"),
    ],
)
def test_a_modality_of_another_kind_is_one_line_with_what_suits_it(name, kind, line):
    with pytest.raises(RecipeError, match=f"^X: {line}"):
        modality_of_kind(BAGS_AND_VECTOR, name, kind, "X")
