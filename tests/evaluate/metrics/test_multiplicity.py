from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.evaluate.metrics.multiplicity import holm
from pathfuse.evaluate.metrics.tests_over_folds import signed_rank_of


def test_the_worked_example_of_four_tests():
    # 4 x 0.005 and 3 x 0.01 reject at 5 %, 2 x 0.03 does not; the last may not be smaller than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_rejections_are_those_of_the_step_down_procedure(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, position in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[position] * (len(p_values) - step) > level:
                break
            rejected.add(int(position))
        assert {position for position, p in enumerate(adjusted) if p <= level} == rejected


def test_what_is_no_test_does_not_count():
    adjusted = holm([0.02, nan, 0.04])
    assert adjusted[0] == pytest.approx(0.04) and isnan(adjusted[1]) and adjusted[2] == pytest.approx(0.04)


def test_the_published_example_of_the_signed_rank_test():
    # Wilcoxon 1945, table II, Darwin's plants: p two-sided 0.0413 in modern exact form.
    differences = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], dtype=float)
    found = signed_rank_of(differences)
    assert found.p == pytest.approx(0.0413, abs=5e-5)
    assert found.rank_biserial == pytest.approx((96 - 24) / 120)


def test_few_folds_give_no_p_and_equal_folds_give_one():
    assert isnan(signed_rank_of(np.array([0.1, 0.2, 0.3, 0.4])).p)
    assert signed_rank_of(np.zeros(6)) == (6, 1.0, 0.0)
    assert signed_rank_of(np.array([0.1, 0.2, 0.3, 0.4, 0.5])).p == pytest.approx(2 / 2**5)
