from math import isnan

import pytest
import torch
from torch.testing import assert_close

from pathfuse.evaluate.metrics.mec import constant_confidence, mean_effective_confidence, strata_accuracy, stratum

CORRECT = torch.tensor([True, True, False, True])


def test_signed_and_symmetric_differ_by_the_error_rate():
    confidence = torch.tensor([0.9, 0.6, 0.8, 1.0])
    signed = mean_effective_confidence(CORRECT, confidence)
    assert signed == pytest.approx((0.9 + 0.6 - 0.8 + 1.0) / 4)
    assert mean_effective_confidence(CORRECT, confidence, form="symmetric") == pytest.approx(signed + 0.25)


def test_constant_baseline_is_the_score_of_full_confidence_everywhere():
    assert constant_confidence(CORRECT) == mean_effective_confidence(CORRECT, torch.ones(4)) == 0.5


def test_a_value_on_a_border_belongs_to_the_upper_stratum():
    for dtype in (torch.float32, torch.float64):
        assert_close(stratum(torch.tensor([0.7499, 0.75, 0.8999, 0.9, 1], dtype=dtype)), torch.tensor([0, 1, 1, 2, 2]))


def test_an_empty_stratum_has_no_accuracy():
    got = strata_accuracy(CORRECT, torch.tensor([0.95, 0.95, 0.95, 0.1]))
    assert isnan(got[1]) and float(got[0]) == 1 and float(got[2]) == pytest.approx(2 / 3)


def test_no_case_no_score():
    none = torch.zeros(0)
    assert isnan(mean_effective_confidence(none.bool(), none)) and isnan(constant_confidence(none.bool()))
