import json
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import softmax

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.abstention import (
    Abstention,
    abstention_metrics,
    combined_confidence,
    confidences,
    excess_aurc,
    risk_coverage,
)
from pathfuse.evaluate.calibrate.calibrator import Calibrator
from pathfuse.evaluate.calibrate.temperature import Temperature
from pathfuse.evaluate.metrics.calibration import adaptive_calibration_error, expected_calibration_error

VAL = "val"


def draw(n, seed=0, sharpen=1.0, classes=4):
    """Probabilities from which the labels are really drawn, and the same ones made over- or underconfident."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, classes)) * 1.5
    prob = softmax(logits, axis=1)
    target = (generator.random(n)[:, None] > prob.cumsum(1)).sum(1).clip(max=classes - 1)
    return softmax(sharpen * logits, axis=1), target


def test_simulated_overconfidence_is_measured_and_recovered_by_the_temperature():
    sharp, target = draw(6000, sharpen=2.5)
    temperature = Temperature.fit(sharp, target, [VAL] * len(target))
    assert temperature.value == pytest.approx(2.5, rel=0.05)
    fresh, truth = draw(6000, seed=1, sharpen=2.5)
    assert expected_calibration_error(fresh, truth) > 0.12
    for error in (expected_calibration_error, adaptive_calibration_error):
        assert error(temperature(fresh), truth) < 0.03
    assert (temperature(fresh).argmax(1) == fresh.argmax(1)).all()
    assert_allclose(temperature(fresh).sum(1), 1)


def test_a_calibrated_model_keeps_its_temperature_of_one():
    prob, target = draw(6000)
    assert Temperature.fit(prob, target, [VAL] * 6000).value == pytest.approx(1, abs=0.05)


def test_a_perfect_validation_part_leaves_the_probabilities_as_they_are():
    assert Temperature.fit(np.eye(3) * 0.4 + 0.2, np.arange(3), [VAL] * 3).value == 1
    one_error = Temperature.fit(np.tile([0.98, 0.02], (9, 1)), np.array([0] * 8 + [1]), [VAL] * 9).value
    assert 1 < one_error < 20


@pytest.mark.parametrize("parts", [["val", "test"], ["train", "val"], ["", "val"], []])
def test_nothing_is_chosen_outside_the_validation_part(parts):
    prob, target = draw(len(parts) or 1)
    if not parts:
        prob, target = prob[:0], target[:0]
    patients = [str(row) for row in range(len(parts))]
    wrong = np.zeros(len(parts))
    for choose in (
        lambda: Temperature.fit(prob, target, parts),
        lambda: Abstention.choose(prob.max(1), wrong, parts, target_risk=0.1),
        lambda: Calibrator.fit(prob, target, None, patients, parts),
    ):
        with pytest.raises(RunError, match="validation part alone"):
            choose()


def test_a_worked_example_of_risk_and_coverage():
    curve = risk_coverage(np.array([0.9, 0.8, 0.8, 0.1]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert_allclose(curve.threshold, [0.9, 0.8, 0.1])
    assert_allclose(curve.coverage, [0.25, 0.75, 1.0])
    assert_allclose(curve.risk, [0, 1 / 3, 0.5])
    # One, two, three and four cases; of the two that tie either may come first.
    assert curve.aurc == pytest.approx((0 + (0 + 0.5) / 2 + 1 / 3 + 1 / 2) / 4)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=25), st.integers(0, 100))
def test_the_area_lies_between_that_of_the_best_and_the_worst_order_and_ignores_scale_and_row_order(cases, seed):
    confidence, wrong = (np.array(values, dtype=float) for values in zip(*cases, strict=True))
    area = risk_coverage(confidence, wrong).aurc
    steps = np.arange(1, len(wrong) + 1)
    best, worst = ((np.cumsum(order) / steps).mean() for order in (np.sort(wrong), np.sort(wrong)[::-1]))
    assert best - 1e-12 <= area <= worst + 1e-12
    assert excess_aurc(confidence, wrong) == pytest.approx(area - best)
    order = np.random.default_rng(seed).permutation(len(wrong))
    assert risk_coverage(np.exp(confidence[order]) / 7, wrong[order]).aurc == pytest.approx(area)


def test_equal_confidences_leave_one_point_and_the_error_rate():
    curve = risk_coverage(np.full(8, 0.5), np.array([1.0, 0, 0, 0, 1, 0, 0, 0]))
    assert (list(curve.coverage), list(curve.risk), curve.aurc) == ([1.0], [0.25], 0.25)


def test_confidences_are_compared_where_one_was_learned():
    prob, _ = draw(20)
    learned = np.random.default_rng(0).random(20)
    assert list(confidences(prob, None)) == ["softmax"]
    assert list(confidences(prob, learned)) == ["softmax", "learned", "combined"]
    assert_allclose(combined_confidence(prob, learned) ** 2, prob.max(1) * learned)


def test_a_confidence_that_knows_its_errors_has_no_excess_area():
    prob, target = draw(50)
    right = (prob.argmax(1) == target).astype(float)
    found = abstention_metrics(prob, right, target)
    assert found["excess_aurc_learned"] == pytest.approx(0)
    assert found["aurc_learned"] < found["aurc_combined"] + 1e-12 and found["aurc_learned"] < found["aurc_softmax"]
    assert set(abstention_metrics(prob, None, target)) == {"aurc_softmax", "excess_aurc_softmax"}


def test_the_threshold_keeps_most_cases_at_the_target_risk():
    prob, target = draw(400)
    sure, wrong = prob.max(1), (prob.argmax(1) != target).astype(float)
    chosen = Abstention.choose(sure, wrong, [VAL] * 400, target_risk=0.2)
    assert chosen.validation_risk <= 0.2 < wrong.mean()
    # The plain loop: no lower threshold keeps the promise.
    good = [t for t in np.unique(sure) if wrong[sure >= t].mean() <= 0.2]
    assert chosen.threshold == min(good)
    assert chosen.validation_coverage == (sure >= chosen.threshold).mean() == (~chosen(sure)).mean()
    careful = Abstention.choose(sure, wrong, [VAL] * 400, target_risk=0.2, certainty=0.95)
    assert careful.validation_coverage < chosen.validation_coverage


def test_a_risk_that_cannot_be_reached_abstains_from_everything():
    chosen = Abstention.choose(np.array([0.9, 0.8]), np.ones(2), [VAL] * 2, target_risk=0.1)
    assert chosen.threshold == inf and chosen(np.array([1.0])).all()


def test_with_certainty_the_risk_on_new_cases_stays_below_the_target():
    kept = broken = 0
    for seed in range(60):
        prob, target = draw(800, seed=seed)
        wrong = (prob.argmax(1) != target).astype(float)
        chosen = Abstention.choose(prob.max(1), wrong, [VAL] * 800, target_risk=0.3, certainty=0.95)
        fresh, truth = draw(4000, seed=1000 + seed)
        keeps = ~chosen(fresh.max(1))
        kept += keeps.mean() > 0.1
        broken += keeps.any() and (fresh.argmax(1) != truth)[keeps].mean() > 0.3
    assert broken <= 3 and kept > 50


@pytest.mark.parametrize("confidence", ["softmax", "learned", "combined"])
def test_a_calibrator_survives_its_file_and_answers_alike(confidence):
    prob, target = draw(80, sharpen=2)
    learned = np.random.default_rng(1).random(80)
    patients = [f"p{row // 2}" for row in range(80)]
    made = Calibrator.fit(prob, target, learned, patients, [VAL] * 80, target_risk=0.3, confidence=confidence)
    again = Calibrator.of_plain(json.loads(json.dumps(made.plain(), allow_nan=False)))
    assert again == made
    one, other = made(prob, learned), again(prob, learned)
    for name in ("prob", "confidence", "abstain", "sets"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert (one.abstain == (one.confidence < made.abstention.threshold)).all()
    named = one.set_names(("0", "1+", "2+", "3+"))
    assert all(
        name in text.split("|")
        for name, text in zip(np.array(["0", "1+", "2+", "3+"])[prob.argmax(1)], named, strict=True)
    )


def test_infinite_choices_survive_the_file():
    prob, target = np.tile([0.9, 0.1], (4, 1)), np.ones(4, dtype=int)
    made = Calibrator.fit(prob, target, None, list("abcd"), [VAL] * 4, target_risk=0.01, miss=0.1)
    assert made.abstention.threshold == inf and made.sets.mass == inf
    again = Calibrator.of_plain(json.loads(json.dumps(made.plain(), allow_nan=False)))
    assert again.abstention.threshold == inf and again(prob).abstain.all() and again(prob).sets.all()


def test_a_confidence_that_was_not_learned_cannot_be_asked_for():
    prob, target = draw(10)
    with pytest.raises(RunError, match="learned no confidence"):
        Calibrator.fit(prob, target, None, list("abcdefghij"), [VAL] * 10, confidence="learned")
