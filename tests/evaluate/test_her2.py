from math import isnan

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pathfuse.errors import RecipeError
from pathfuse.evaluate.her2 import GROUPINGS, cost_matrix, equivocal_report, mean_cost, regrouped

SCORES = ("0", "1+", "2+", "3+")
FIVE = ("0", "ultra-low", "1+", "2+", "3+")


def test_all_groupings_come_from_one_set_of_predictions():
    prob, target = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.35, 0.15, 0.1]]), np.array([2, -1])
    found = regrouped(prob, target, SCORES, "zero_low_high")
    assert found.classes == ("0", "low", "high") and found.target.tolist() == [1, -1]
    assert_allclose(found.prob, [[0.1, 0.5, 0.4], [0.4, 0.5, 0.1]])
    assert found.prob.argmax(1).tolist() == [1, 1]  # neither case was most probably 1+ or 2+
    assert regrouped(prob, target, SCORES, "positive").classes == ("negative", "positive")
    assert regrouped(prob, target, SCORES, "any_staining").prob[0, 1] == pytest.approx(0.9)


def test_ultra_low_is_a_group_of_its_own_where_it_was_labelled():
    prob = np.array([[0.1, 0.2, 0.3, 0.3, 0.1]])
    found = regrouped(prob, np.array([1]), FIVE, "ultra_low")
    assert found.classes == ("0", "ultra-low", "low", "high") and found.target.tolist() == [1]
    assert_allclose(found.prob, [[0.1, 0.2, 0.6, 0.1]])
    assert regrouped(prob, np.array([1]), FIVE, "zero_low_high").target.tolist() == [0]


CASES = [(grouping, classes) for grouping in GROUPINGS for classes in (SCORES, FIVE)]


@pytest.mark.parametrize(("grouping", "classes"), [case for case in CASES if case != ("ultra_low", SCORES)])
def test_groups_are_neighbours_and_probabilities_still_sum_to_one(grouping, classes):
    prob = np.random.default_rng(0).dirichlet(np.ones(len(classes)), 6)
    found = regrouped(prob, np.arange(6) % len(classes), classes, grouping)
    assert_allclose(found.prob.sum(1), 1)
    order = regrouped(np.eye(len(classes)), np.arange(len(classes)), classes, grouping).target
    assert (np.diff(order) >= 0).all() and set(order) == set(range(len(found.classes)))


def test_what_cannot_be_regrouped_is_refused():
    prob, target = np.full((1, 4), 0.25), np.array([0])
    for grouping, classes, message in (
        ("ultra_low", SCORES, "needs the class ultra-low"),
        ("low", SCORES, "grouping 'low' is unknown"),
        ("positive", ("a", "b", "c", "d"), "class 'a' is no HER2 score"),
    ):
        with pytest.raises(RecipeError, match=message):
            regrouped(prob, target, classes, grouping)


def test_the_report_on_equivocal_cases():
    predicted = np.array([2, 2, 3, 0, 2, 1])
    target = np.array([2, 2, 2, 2, 1, 1])
    prob = np.eye(4)[predicted] * 0.7 + 0.075
    prob[:4, 3] += [0.02, 0.01, 0, 0]
    ish = [True, False, None, False, True, True]
    found = equivocal_report(prob, target, SCORES, ish_positive=ish)
    assert (found.n, found.called) == (4, {"0": 1, "1+": 0, "2+": 2, "3+": 1})
    assert (found.predicted, found.are) == (3, {"0": 0, "1+": 1, "2+": 2, "3+": 0})
    assert (found.sensitivity, found.precision, found.far) == (0.5, pytest.approx(2 / 3), 0.25)
    assert found.ish_auroc == 1  # of the three 2+ with a result, the positive one has the highest 3+
    assert isnan(equivocal_report(prob, target, SCORES).ish_auroc)
    with pytest.raises(RecipeError, match=r"needs class 2\+"):
        equivocal_report(prob[:, :2], target, ("0", "1+"))


def test_a_score_too_low_costs_more_than_one_too_high():
    cost = cost_matrix(SCORES, missed=3, treated={"3+": 10})
    assert_allclose(cost[1], [3, 0, 1, 2])
    assert cost[3, 0] == 9 + 10 and (np.diag(cost) == 0).all()
    assert mean_cost(np.array([0, 1, 2]), np.array([1, 1, 1]), cost) == pytest.approx(4 / 3)
