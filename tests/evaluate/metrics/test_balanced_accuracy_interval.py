from math import isnan

import numpy as np
import pytest
import torch

from pathfuse.evaluate.metrics import resampling
from pathfuse.evaluate.metrics.resampling import balanced_accuracy_interval
from tests.evaluate.loops import patient_interval


def predicted(patients=30, per_patient=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n = patients * per_patient
    target = torch.randint(3, (n,), generator=generator)
    prob = (torch.nn.functional.one_hot(target, 3) + torch.randn(n, 3, generator=generator)).softmax(1)
    return prob, target, [f"p{row // per_patient}" for row in range(n)]


def test_same_seed_same_interval_and_another_seed_another():
    data = predicted()
    assert balanced_accuracy_interval(*data, seed=1) == balanced_accuracy_interval(*data, seed=1)
    assert balanced_accuracy_interval(*data, seed=1) != balanced_accuracy_interval(*data, seed=2)


def test_interval_holds_the_estimate_and_narrows_with_more_patients():
    def width(patients):
        low, high = balanced_accuracy_interval(*predicted(patients), draws=300)
        return high - low

    prob, target, patients = predicted()
    recall = [(prob.argmax(1)[target == label] == label).double().mean() for label in range(3)]
    low, high = balanced_accuracy_interval(prob, target, patients)
    assert low < float(torch.stack(recall).mean()) < high
    assert width(200) < width(20)


@pytest.mark.parametrize("chunk", [1, 100, 2000])
def test_it_is_that_of_a_loop_over_patients_however_many_are_drawn_at_a_time(chunk, monkeypatch):
    monkeypatch.setattr(resampling, "CHUNK", chunk)
    prob, target, patients = predicted(8, per_patient=2)  # some of the drawn cohorts lack a class
    truth, right = target.numpy(), (prob.argmax(1) == target).numpy()

    def balanced(rows):
        return float(np.mean([right[rows][truth[rows] == label].mean() for label in np.unique(truth[rows])]))

    assert balanced_accuracy_interval(prob, target, patients, seed=4) == pytest.approx(
        patient_interval(balanced, patients, seed=4)
    )


def test_copies_of_a_case_within_a_patient_add_no_certainty():
    prob, target, patients = predicted(per_patient=1)
    twice = balanced_accuracy_interval(prob.repeat(2, 1), target.repeat(2), patients * 2)
    assert twice == pytest.approx(balanced_accuracy_interval(prob, target, patients))


def test_unlabelled_cases_are_left_out():
    prob, target, patients = predicted()
    unknown = torch.cat([target, torch.tensor([-1, -1])])
    more = balanced_accuracy_interval(torch.cat([prob, prob[:2]]), unknown, [*patients, "x", "y"])
    assert more == balanced_accuracy_interval(prob, target, patients)


@pytest.mark.parametrize("patients", [[], ["a", "a"]])
def test_fewer_than_two_patients_have_no_interval(patients):
    n = len(patients)
    low, high = balanced_accuracy_interval(torch.full((n, 2), 0.5), torch.zeros(n, dtype=torch.long), patients)
    assert isnan(low) and isnan(high)
