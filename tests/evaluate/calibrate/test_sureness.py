"""A calibrated confidence: its mean is the accuracy, its order is kept, and what it cannot know is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.metrics import correctness_metrics
from pathfuse.evaluate.calibrate.sureness import Sureness


@settings(max_examples=60)
@given(seed=st.integers(0, 1000), n=st.integers(20, 80), power=st.floats(0.2, 5.0))
def test_the_mean_follows_accuracy_and_the_order_stays(seed: int, n: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.05, 0.95, n)
    right = (rng.uniform(size=n) < chance).astype(float)
    sureness = Sureness.fit(chance**power, right, ["val"] * n)
    found = sureness(chance**power)
    if 0 < right.mean() < 1:
        assert found.mean() == pytest.approx(right.mean(), abs=1e-4)
    order = np.argsort(chance, kind="stable")
    assert sureness.slope >= 0 and (np.diff(found[order]) >= -1e-12).all()


def test_a_confidence_that_is_lower_where_predictions_are_right_says_nothing() -> None:
    right = np.array([1.0] * 30 + [0.0] * 10)
    sureness = Sureness.fit(np.where(right > 0, 0.2, 0.9), right, ["val"] * 40)
    assert sureness.slope == 0 and sureness(np.array([0.1, 0.9])) == pytest.approx([0.75, 0.75])


def test_without_an_error_nothing_is_changed_and_the_test_part_is_refused() -> None:
    sure = np.array([0.6, 0.8])
    assert Sureness.fit(sure, np.ones(2), ["val"] * 2)(sure) == pytest.approx(sure)
    with pytest.raises(RunError, match="A confidence is chosen on the validation part alone"):
        Sureness.fit(sure, np.array([1.0, 0.0]), ["val", "test"])


def test_every_confidence_is_ranked_against_being_right() -> None:
    prob = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.45, 0.55]])
    target = np.array([0, 1, 1, 0])
    found = correctness_metrics(prob, np.array([0.1, 0.9, 0.2, 0.8]), target)
    assert found["confidence_auroc_softmax"] == 1 and found["confidence_auroc_learned"] == 0
    assert 0 <= found["confidence_auroc_combined"] <= 1
    assert list(correctness_metrics(prob, None, target)) == ["confidence_auroc_softmax"]
