from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from pathfuse.evaluate.metrics.calibration import (
    BrierScore,
    LogLoss,
    calibration_error,
    expected_calibration_error,
    reliability,
    reliability_by_class,
)


def draw(n, seed=0, sharpen=1.0, classes=4):
    """Probabilities from which the labels are really drawn, and the same ones made over- or underconfident."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, classes)) * 1.5
    prob = softmax(logits, axis=1)
    target = (generator.random(n)[:, None] > prob.cumsum(1)).sum(1).clip(max=classes - 1)
    return softmax(sharpen * logits, axis=1), target


def value(metric, prob, target):
    return metric(torch.from_numpy(prob), torch.from_numpy(target))[metric.key]


def test_a_worked_example_of_the_calibration_error():
    prob = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    # Bin of 0.9: half right, off by 0.4; bin of 0.6: all right, off by 0.4.
    assert expected_calibration_error(prob, np.array([0, 1, 0, 0])) == pytest.approx(0.4)
    assert value(BrierScore(), prob, np.array([0, 1, 0, 0])) == pytest.approx((0.02 + 1.62 + 0.32 + 0.32) / 4)


def test_diagram_and_scores_equal_those_of_scikit_learn():
    prob, target = draw(500, classes=2)
    p, happened = prob[:, 1], (target == 1).astype(int)
    accuracy, confidence = calibration_curve(happened, p, n_bins=10)
    found = reliability(p, happened, bins=10)
    assert_allclose([b.accuracy for b in found], accuracy)
    assert_allclose([b.confidence for b in found], confidence)
    assert value(BrierScore(), prob, target) == pytest.approx(2 * brier_score_loss(happened, p))
    assert value(LogLoss(), prob, target) == pytest.approx(log_loss(target, prob))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40), st.sampled_from(["width", "mass"])
)
def test_every_case_is_in_one_bin_and_the_error_is_a_share(cases, binning):
    p, happened = (np.array(values) for values in zip(*cases, strict=True))
    found = reliability(p, happened, binning=binning)
    assert sum(b.n for b in found) == len(cases)
    assert all(b.low - 1e-9 <= b.confidence <= b.high + 1e-9 for b in found)
    assert 0 <= calibration_error(p, happened, binning=binning) <= 1


def test_bins_of_equal_mass_hold_about_as_many_cases():
    prob, target = draw(600)
    sizes = [b.n for b in reliability(prob.max(1), (prob.argmax(1) == target).astype(int), binning="mass")]
    assert len(sizes) == 15 and max(sizes) - min(sizes) <= 2


def test_the_diagram_is_told_by_class():
    prob, target = draw(50)
    top, *single = reliability_by_class(prob, target, ("0", "1+", "2+", "3+"))
    assert top == reliability(prob.max(1), (prob.argmax(1) == target).astype(int), bins=10)
    assert [sum(b.n for b in bins) for bins in single] == [50] * 4
    assert sum(b.n * b.accuracy for b in single[2]) / 50 == pytest.approx((target == 2).mean())


def test_log_loss_of_a_written_zero_is_finite():
    assert value(LogLoss(), np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-log(1e-7))
