from math import isnan

import pytest
import torch

from pathfuse.core import Metric


class MeanTarget(Metric):
    key = "mean_target"

    def measure(self, prob, target, confidence, classes):
        assert len(target) and prob.dtype == torch.float64 and (target >= 0).all()
        return float(target.double().mean())


PROB = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])


def test_it_is_asked_about_labelled_cases_in_double_precision_only():
    assert MeanTarget()(PROB, torch.tensor([1, -1, 0])) == {"mean_target": 0.5}


def test_without_a_case_the_number_is_nan():
    assert isnan(MeanTarget()(PROB, torch.full((3,), -1))["mean_target"])


@pytest.mark.parametrize("broken", ["prob", "confidence"])
def test_a_network_that_diverged_says_nothing(broken):
    prob, confidence = PROB.clone(), torch.ones(3)
    (prob if broken == "prob" else confidence)[1] = float("nan")
    assert isnan(MeanTarget()(prob, torch.tensor([1, 0, 0]), confidence)["mean_target"])


def test_a_metric_without_a_measure_cannot_be_made():
    with pytest.raises(TypeError, match="measure"):
        Metric()
