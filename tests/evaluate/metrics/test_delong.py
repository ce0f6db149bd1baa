from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from pathfuse.evaluate.metrics.delong import delong_areas, delong_test

# Ovarian cancer patients with intestinal obstruction: albumin, total protein, K-G score, whether surgery helped. The
# complete records of DeLong's cohort as the SAS/STAT user's guide has them (PROC LOGISTIC, "Comparing ROC Curves").
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def example(n=60, seed=0):
    generator = np.random.default_rng(seed)
    positive = np.arange(n) % 3 == 0
    scores = generator.normal(size=(2, n)).round(1) + positive * [[1.0], [0.7]]
    return list(scores), positive


def test_the_example_of_the_sas_guide():
    albumin, protein, kg, helped = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    areas = delong_areas([[albumin], [protein], [10 - kg]], helped == 1, np.arange(len(kg)))
    assert_allclose(areas.value, [0.7366, 0.6478, 0.7258], atol=5e-5)
    assert_allclose(np.sqrt(np.diag(areas.covariance)), [0.0927, 0.1000, 0.1028], atol=5e-5)
    first, second = delong_test(areas, 0, 2), delong_test(areas, 1, 2)
    assert (first.difference, first.error, first.p) == pytest.approx((0.0108, 0.0953, 0.9102), abs=5e-5)
    assert (second.difference, second.error, second.p) == pytest.approx((-0.0780, 0.1046, 0.4561), abs=5e-5)
    assert first.z**2 == pytest.approx(0.0127, abs=5e-5)


def test_components_equal_the_loop_over_all_pairs():
    scores, positive = example()
    up, down = np.flatnonzero(positive), np.flatnonzero(~positive)
    kernels = [[[(s[i] > s[j]) + 0.5 * (s[i] == s[j]) for j in down] for i in up] for s in scores]
    beats = np.array(kernels)  # (2, P, N)
    expected = np.cov(beats.mean(2)) / len(up) + np.cov(beats.mean(1)) / len(down)
    areas = delong_areas([[score] for score in scores], positive, np.arange(len(positive)))
    assert_allclose(areas.value, beats.mean((1, 2)))
    assert_allclose(areas.covariance, expected)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=20))
def test_the_area_is_that_of_scikit_learn_with_any_ties(cases):
    score, positive = (np.array(values) for values in zip(*cases, strict=True))
    areas = delong_areas([[score.astype(float)]], positive, np.arange(len(score)))
    if 0 < positive.sum() < len(positive):
        assert areas.value[0] == pytest.approx(roc_auc_score(positive, score))
    else:
        assert isnan(areas.value[0])


def test_copies_of_a_case_within_a_patient_add_almost_no_certainty():
    scores, positive = example(200)
    alone = delong_areas([[score] for score in scores], positive, np.arange(200))
    doubled = delong_areas([[np.tile(s, 2)] for s in scores], np.tile(positive, 2), np.tile(np.arange(200), 2))
    blind = delong_areas([[np.tile(s, 2)] for s in scores], np.tile(positive, 2), np.arange(400))
    assert_allclose(doubled.covariance, alone.covariance, rtol=1e-9)
    assert blind.covariance[0, 0] < 0.6 * alone.covariance[0, 0]


def test_patients_with_both_labels_are_covered_by_the_clustered_variance():
    """Every patient has a positive and a negative case that share an offset: ignoring it would overstate the error."""
    generator = np.random.default_rng(1)
    estimates, errors = [], []
    for _ in range(300):
        offset = generator.normal(size=(40, 1)) * 2
        score = (offset + generator.normal(size=(40, 2)) + [1.0, 0.0]).ravel()
        areas = delong_areas([[score]], np.tile([True, False], 40), np.repeat(np.arange(40), 2))
        estimates.append(areas.value[0])
        errors.append(sqrt(areas.covariance[0, 0]))
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.12)


def test_equal_models_have_p_one_and_an_absent_class_has_none():
    scores, positive = example()
    same = delong_areas([[scores[0]], [2 * scores[0]]], positive, np.arange(60))
    assert delong_test(same).p == 1
    none = delong_areas([[scores[0]], [scores[1]]], np.ones(60, dtype=bool), np.arange(60))
    assert isnan(delong_test(none).p)


def test_a_perfect_area_stays_within_its_limits():
    low, high = delong_areas([[np.arange(10.0)]], np.arange(10) > 4, np.arange(10)).interval(0)
    assert (low, high) == (1, 1)
    low, high = delong_areas([[np.array([0, 1, 2, 1.5, 3, 4])]], np.arange(6) > 2, np.arange(6)).interval(0)
    assert 0 < low < 1 == high
