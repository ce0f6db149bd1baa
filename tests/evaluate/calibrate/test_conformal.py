from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.conformal import PredictionSets, grown_sets, measured_coverage, needed_mass


def draw(n, seed):
    generator = np.random.default_rng(seed)
    severity = generator.normal(size=n) * 1.5
    logits = -((severity[:, None] - np.arange(-1.5, 2)) ** 2) + generator.normal(size=(n, 4)) * 0.5
    prob = softmax(logits, axis=1)
    target = (generator.random(n)[:, None] > softmax(logits * 0.6, axis=1).cumsum(1)).sum(1).clip(max=3)
    return prob, target, [f"p{row}" for row in range(n)]


def naive_interval(p, mass):
    low = high = int(np.argmax(p))
    while high - low < len(p) - 1 and p[low : high + 1].sum() <= mass + 1e-9:
        below = p[low - 1] if low else -1
        above = p[high + 1] if high < len(p) - 1 else -1
        low, high = (low - 1, high) if below >= above else (low, high + 1)
    return [low <= k <= high for k in range(len(p))]


DISTRIBUTIONS = st.lists(st.integers(0, 10), min_size=2, max_size=6).filter(any).map(lambda v: np.array(v) / sum(v))


@settings(max_examples=100)
@given(DISTRIBUTIONS, st.floats(0, 1))
def test_sets_are_those_of_the_plain_loop_and_hold_the_most_probable_class(p, mass):
    inside = grown_sets(p[None], mass)[0]
    assert inside.tolist() == naive_interval(p, mass)
    assert inside[p.argmax()]


@settings(max_examples=60)
@given(DISTRIBUTIONS, st.floats(0, 1), st.floats(0, 1))
def test_more_mass_never_takes_a_class_out(p, one, other):
    small, large = (grown_sets(p[None], mass)[0] for mass in sorted((one, other)))
    assert (large | ~small).all()


@settings(max_examples=60)
@given(DISTRIBUTIONS, st.data())
def test_the_needed_mass_is_the_least_that_lets_the_truth_in(p, data):
    target = np.array([data.draw(st.integers(0, len(p) - 1))])
    needed = needed_mass(p[None], target)
    assert grown_sets(p[None], needed[0])[0][target[0]]
    if needed[0] > 1e-6:
        assert not grown_sets(p[None], needed[0] - 1e-6)[0][target[0]]


@pytest.mark.parametrize("miss", [0.05, 0.1, 0.3])
def test_the_promise_holds_on_exchangeable_patients(miss):
    covered = []
    for seed in range(40):
        prob, target, patients = draw(400, seed)
        sets = PredictionSets.fit(prob[:100], target[:100], patients[:100], ["val"] * 100, miss=miss)
        covered.append(measured_coverage(sets(prob[100:]), target[100:], patients[100:]).covered)
    assert np.mean(covered) == pytest.approx(1 - miss + 0.005, abs=0.02)


def test_all_cases_of_a_patient_are_covered_together():
    covered = []
    for seed in range(40):
        prob, target, _ = draw(600, seed)
        patients = [f"p{row // 3}" for row in range(600)]
        sets = PredictionSets.fit(prob[:300], target[:300], patients[:300], ["val"] * 300, miss=0.2)
        covered.append(measured_coverage(sets(prob[300:]), target[300:], patients[300:]).covered)
    assert np.mean(covered) == pytest.approx(0.8, abs=0.03)


def test_too_few_patients_promise_nothing_but_the_set_of_all_classes():
    prob, target, patients = draw(8, 0)
    sets = PredictionSets.fit(prob, target, patients, ["val"] * 8, miss=0.1)
    assert sets.mass == inf and sets(prob).all()


def test_other_parts_and_impossible_shares_are_refused():
    prob, target, patients = draw(4, 0)
    with pytest.raises(RunError, match="validation part alone, but got cases of test"):
        PredictionSets.fit(prob, target, patients, ["val", "val", "val", "test"])
    with pytest.raises(RunError, match="between 0 and 1"):
        PredictionSets.fit(prob, target, patients, ["val"] * 4, miss=1)


@settings(max_examples=60)
@given(DISTRIBUTIONS, st.floats(0, 1))
def test_sets_of_unordered_classes_take_in_the_most_probable_first(p, mass):
    inside = grown_sets(p[None], mass, ordered=False)[0]
    falling, held, expected = sorted(range(len(p)), key=lambda k: -p[k]), 0.0, []
    for k in falling:
        if held > mass + 1e-9:
            break
        expected.append(k)
        held += p[k]
    assert np.flatnonzero(inside).tolist() == sorted(expected)


def test_names_of_classes_may_be_exchanged_where_they_have_no_order():
    prob, target, patients = draw(80, 3)
    swap = np.array([2, 0, 3, 1])
    moved = np.argsort(swap)
    one = PredictionSets.fit(prob, target, patients, ["val"] * 80, ordered=False)
    other = PredictionSets.fit(prob[:, swap], moved[target], patients, ["val"] * 80, ordered=False)
    assert one.mass == pytest.approx(other.mass)
    assert (one(prob)[:, swap] == other(prob[:, swap])).all()


def test_the_promise_holds_for_unordered_classes_too():
    covered = []
    for seed in range(40):
        prob, target, patients = draw(400, seed)
        sets = PredictionSets.fit(prob[:100], target[:100], patients[:100], ["val"] * 100, miss=0.2, ordered=False)
        covered.append(measured_coverage(sets(prob[100:]), target[100:], patients[100:]).covered)
    assert np.mean(covered) == pytest.approx(0.805, abs=0.02)


def test_measured_coverage_is_by_patient_with_interval_and_by_class():
    sets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1]], dtype=bool)
    found = measured_coverage(sets, np.array([1, 1, 2, 2]), ["a", "a", "b", "c"])
    assert found.covered == pytest.approx(2 / 3)
    assert found.interval == pytest.approx((0.0943, 0.9916), abs=1e-4)  # two of three, Clopper and Pearson
    assert found.size == 1.5 and isnan(found.by_class[0]) and found.by_class[1:] == (0.5, 1.0)
