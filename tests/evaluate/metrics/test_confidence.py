from math import isnan

import pytest
import torch

from pathfuse.evaluate.metrics.confidence import constant_confidence, mean_effective_confidence

CORRECT = torch.tensor([True, True, False, True])


def test_signed_and_symmetric_differ_by_the_error_rate():
    confidence = torch.tensor([0.9, 0.6, 0.8, 1.0])
    signed = mean_effective_confidence(CORRECT, confidence)
    assert signed == pytest.approx((0.9 + 0.6 - 0.8 + 1.0) / 4)
    assert mean_effective_confidence(CORRECT, confidence, form="symmetric") == pytest.approx(signed + 0.25)


def test_constant_baseline_is_the_score_of_full_confidence_everywhere():
    assert constant_confidence(CORRECT) == mean_effective_confidence(CORRECT, torch.ones(4)) == 0.5


def test_no_case_no_score():
    none = torch.zeros(0)
    assert isnan(mean_effective_confidence(none.bool(), none)) and isnan(constant_confidence(none.bool()))
