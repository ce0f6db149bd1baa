import json
from dataclasses import replace

import pytest

from pathfuse.demo import DemoOptions
from pathfuse.errors import RecipeError

OPTIONS = DemoOptions()


@pytest.mark.parametrize(
    "change",
    [
        {"patients": 0},
        {"cases_per_patient": 0},
        {"size_px": 4},
        {"mpp": 0.0},
        {"mpp": 8.0},
        {"labelled": 1.5},
        {"val_fraction": 0.5, "test_fraction": 0.5},
        {"extra_stains": ("he",)},
        {"extra_stains": ("../er",)},
        {"missing": {"ihc": 2.0}},
        {"missing": {"er": 0.1}},
        {"sites": 0},
        {"shift_px": -1.0},
        {"shift_px": float("nan")},
    ],
    ids=str,
)
def test_an_impossible_cohort_is_refused_in_one_line(change):
    with pytest.raises(RecipeError, match="demo cohort") as caught:
        replace(OPTIONS, **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"patients": 8}, {"mpp": 0.5}, {"missing": {"ihc": 0.3}}, {"seed": 1}, {"extra_stains": ("ki67",)}],
    ids=str,
)
def test_other_options_have_another_name(change):
    assert replace(OPTIONS, **change).digest() != OPTIONS.digest()


def test_the_order_of_missing_stains_does_not_change_the_name():
    one = replace(OPTIONS, missing={"he": 0.1, "ihc": 0.2})
    assert one.digest() == replace(OPTIONS, missing={"ihc": 0.2, "he": 0.1}).digest()


def test_the_written_options_make_the_same_cohort_again():
    options = replace(OPTIONS, extra_stains=("ki67",), missing={"ihc": 0.3})
    read = json.loads(options.to_json())
    assert read.pop("generator") >= 1
    assert DemoOptions(**read).digest() == options.digest()
