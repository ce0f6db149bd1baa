import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from pathfuse.explain.faith.drop import Masking, drop_in_accuracy, masked, relative_interval
from tests.explain.small import make_batch

CONFIDENT = 10 * torch.eye(3)


def test_nothing_is_lost_when_nothing_is_masked():
    logits = torch.randn(6, 3)
    drop = drop_in_accuracy(logits, logits, logits.argmax(1))
    assert (drop.accuracy, drop.points, drop.relative, drop.average_drop, drop.cases) == (1, 0, 0, 0, 6)


def test_the_figures_of_a_case_worked_by_hand():
    full = CONFIDENT[[0, 1, 2, 0]]
    hidden = CONFIDENT[[0, 0, 2, 1]]
    drop = drop_in_accuracy(full.double(), hidden.double(), torch.tensor([0, 1, 2, 1]))  # 3 right, then 3 right
    assert (drop.accuracy, drop.accuracy_masked, drop.points, drop.relative) == (0.75, 0.75, 0, 0)
    right, wrong = (math.exp(value) / (math.exp(10) + 2) for value in (10, 0))
    assert drop.average_drop == pytest.approx(100 * 2 * (right - wrong) / right / 4)


def test_the_interval_of_the_drop_is_over_patients():
    full, hidden = CONFIDENT[[0, 1, 2, 0] * 10], CONFIDENT[[0, 1, 0, 1] * 10]  # half is lost
    target = torch.tensor([0, 1, 2, 0] * 10)
    many = relative_interval(full, hidden, target, [f"p{number}" for number in range(40)])
    few = relative_interval(full, hidden, target, [f"p{number % 4}" for number in range(40)])
    assert 30 < many.low < 50 < many.high < 70
    assert few.high - few.low > 2 * (many.high - many.low)
    unknown = torch.where(torch.arange(40) < 39, -1, target)
    for labels, patients in ((target, ["p"] * 40), (unknown, [f"p{number}" for number in range(40)])):
        assert math.isnan(relative_interval(full, hidden, labels, patients).low)


def test_relative_is_in_percent_of_the_accuracy_and_points_are_not():
    drop = drop_in_accuracy(CONFIDENT[[0, 1, 2, 0]], CONFIDENT[[0, 0, 0, 0]], torch.tensor([0, 1, 1, 1]))
    assert (drop.points, drop.relative) == (25, 50)


def test_without_a_right_prediction_the_relative_drop_is_unknown():
    drop = drop_in_accuracy(CONFIDENT[[0]], CONFIDENT[[1]], torch.tensor([2]))
    assert drop.points == 0 and math.isnan(drop.relative)


def test_cases_without_a_label_count_for_the_average_drop_only():
    drop = drop_in_accuracy(CONFIDENT[[0, 1]], CONFIDENT[[0, 0]], torch.tensor([0, -1]))
    assert (drop.accuracy, drop.accuracy_masked, drop.cases) == (1, 1, 1)
    assert drop.average_drop > 49


def test_without_any_label_the_accuracy_is_unknown():
    drop = drop_in_accuracy(CONFIDENT[[0]], CONFIDENT[[0]], torch.tensor([-1]))
    assert math.isnan(drop.accuracy) and math.isnan(drop.relative) and drop.cases == 0


def test_every_stain_with_a_map_is_masked_and_no_other():
    batch = make_batch()
    maps = {"he": torch.zeros(3, 32, 32), "ihc": torch.full((3, 32, 32), 0.5)}
    result = masked(batch, maps, Masking())
    assert not result.image("he").any()
    assert_close(result.image("ihc"), 0.5 * batch.image("ihc"))
    assert_close(result.image("ki67"), batch.image("ki67"))


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95))
def test_the_top_mask_keeps_the_wanted_share_of_every_image(seed, share):
    maps = torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(seed))
    kept = Masking("top", share=share)(maps)
    assert_close(kept.mean((1, 2)), torch.full((2,), share), atol=1 / 400, rtol=0)
    for cam, mask in zip(maps, kept, strict=True):
        assert cam[mask == 1].min() > cam[mask == 0].max()


def test_the_hard_mask_keeps_places_at_the_border():
    kept = Masking("hard", threshold=0.5)(torch.tensor([[[0.49, 0.5, 0.51]]]))
    assert kept.tolist() == [[[0, 1, 1]]]


def test_masks_have_names_for_tables():
    assert [Masking().name, Masking("hard", threshold=0.4).name, Masking("top", share=0.1).name] == [
        "soft",
        "hard@0.4",
        "top@0.1",
    ]
