from math import isnan

import numpy as np
import pytest

from pathfuse.evaluate.metrics.strata import STRATA, layers
from pathfuse.runs.rows import Rows


def rows(confidence, correct):
    n = len(confidence)
    target = np.arange(n) % 2
    predicted = np.where(correct, target, 1 - target)
    return Rows(np.eye(2)[predicted], predicted, target, np.array(confidence))


def test_a_value_on_a_border_belongs_to_the_upper_stratum():
    found = list(layers(rows([0.7499, 0.75, 0.8999, 0.9, 1], [True] * 5)))
    assert [layer.name for layer in found] == list(STRATA)
    assert [layer.n for layer in found] == [1, 2, 2]


def test_an_empty_stratum_has_no_accuracy():
    low, medium, high = layers(rows([0.95, 0.95, 0.95, 0.1], [True, True, False, True]))
    assert isnan(medium.accuracy) and isnan(medium.auroc) and medium.n == 0
    assert low.accuracy == 1 and high.accuracy == pytest.approx(2 / 3)
