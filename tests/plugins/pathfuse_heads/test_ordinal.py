import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec
from pathfuse.errors import RecipeError
from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_heads.ordinal import OrdinalHead

SPEC = DataSpec((), ("0", "1+", "2+", "3+"), (2, 10, 20, 8))
TARGET = [0, 1, 2, 3, 2, 1]
B, D = 6, 5


@parametrize_with_checks(
    OrdinalHead, Example(OrdinalHead, {"hidden": 6, "dropout": 0.2, "class_weight": "none", "divisor": "cases"})
)
def test_it_keeps_the_contract(check):
    check()


def build(spec=SPEC, **options):
    torch.manual_seed(0)
    return OrdinalHead(FusedSpec(D, "vector"), spec, **options)


def fused(seed=1, rows=B):
    generator = torch.Generator().manual_seed(seed)
    return Fused(torch.randn(rows, D, generator=generator), torch.ones(rows, dtype=torch.bool))


def batch(target):
    names = tuple(str(row) for row in range(len(target)))
    return Batch({}, {}, torch.tensor(target), names, names)


def with_steps(head, steps):
    with torch.no_grad():
        head.steps.copy_(torch.tensor(steps))
    return head


STEPS = st.lists(st.floats(-30, 30), min_size=3, max_size=3)


@settings(max_examples=60)
@given(STEPS, st.lists(st.floats(-50, 50), min_size=2, max_size=6))
def test_borders_rise_and_higher_scores_move_probability_to_higher_classes(steps, scores):
    head = with_steps(build().double(), steps)
    assert (head.borders.diff() >= 0).all()
    logits = head._log_probability(torch.tensor(sorted(scores), dtype=torch.float64))
    prob = logits.exp()
    assert torch.isfinite(logits).all()
    assert_close(prob.sum(1), torch.ones(len(scores), dtype=torch.float64))
    assert_close(logits.softmax(1), prob)
    at_most = prob.cumsum(1)[:, :-1]
    assert (at_most.diff(dim=0) <= 1e-12).all() and (at_most.diff(dim=1) >= 0).all()


def test_probabilities_are_differences_of_sigmoids():
    head = with_steps(build().double(), [-1.0, 0.5, 2.0])
    score = torch.linspace(-4, 4, 9, dtype=torch.float64)
    more = torch.sigmoid(score[:, None] - head.borders)
    edges = torch.cat([torch.ones(9, 1), more, torch.zeros(9, 1)], dim=1)
    assert_close(head._log_probability(score).exp(), (edges[:, :-1] - edges[:, 1:]).double())


def test_a_score_of_zero_starts_at_the_training_frequencies():
    prob = build().double()._log_probability(torch.zeros(1, dtype=torch.float64)).exp()[0]
    assert_close(prob, torch.tensor([3, 11, 21, 9], dtype=torch.float64) / 44, atol=1e-6, rtol=0)


def test_an_absent_class_keeps_a_place_between_its_neighbours():
    head = build(replace(SPEC, class_counts=(5, 0, 0, 5)))
    assert torch.isfinite(head(fused()).logits).all() and (head.borders.diff() > 0).all()


@pytest.mark.parametrize("divisor", ["weights", "cases"])
def test_the_loss_equals_the_loop_over_cases_and_skips_the_unlabelled(divisor):
    head = build(divisor=divisor).double().eval()
    case = Fused(fused().embedding.double(), torch.tensor([True, True, True, False, True, True]))
    target = [0, 1, -1, 3, 2, 1]
    prediction = head(case)
    prob, weight = prediction.logits.softmax(1), head.class_weight
    counted = [(row, label) for row, label in enumerate(target) if label >= 0 and row != 3]
    total = sum(-weight[label] * prob[row, label].log() for row, label in counted)
    size = sum(weight[label] for _, label in counted) if divisor == "weights" else len(counted)
    assert_close(head.loss(prediction, batch(target))["classification"], total / size)


def test_training_finds_the_order_that_the_embedding_holds():
    generator = torch.Generator().manual_seed(0)
    severity = torch.rand(200, generator=generator) * 4
    embedding = torch.cat([severity[:, None], torch.randn(200, D - 1, generator=generator)], dim=1)
    target = severity.long().clamp(max=3)
    head = build(class_weight="none").train()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.1)
    case = Fused(embedding, torch.ones(200, dtype=torch.bool))
    for _ in range(150):
        optimiser.zero_grad()
        head.loss(head(case), batch(target.tolist()))["classification"].backward()
        optimiser.step()
    predicted = head(case).logits.argmax(1)
    assert (predicted == target).float().mean() > 0.9 and (predicted - target).abs().max() <= 1


def test_far_scores_keep_finite_losses_and_gradients_in_float32():
    head = with_steps(build(), [0.0, -80.0, -80.0])  # borders that coincide
    logits = head._log_probability(torch.tensor([-200.0, 0.0, 200.0], requires_grad=True))
    logits.sum().backward()
    assert torch.isfinite(logits).all() and torch.isfinite(head.steps.grad).all()


def test_two_classes_are_logistic_regression():
    head = build(DataSpec((), ("neg", "pos"), (5, 5)))
    score = torch.tensor([-1.0, 0.3, 2.0])
    assert_close(head._log_probability(score).exp()[:, 1], torch.sigmoid(score - head.borders))


def test_the_head_survives_its_checkpoint():
    head, other = build(), build(replace(SPEC, class_counts=(9, 1, 1, 9)))
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(fused()).logits, head(fused()).logits)
    assert np.array_equal(other.borders.detach(), head.borders.detach())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"dropout": 1.5}, r"OrdinalHead\.dropout"), ({"hidden": 0}, r"OrdinalHead\.hidden")],
)
def test_options_outside_their_range_are_named(options, message):
    with pytest.raises(RecipeError, match=message):
        build(**options)


def test_a_single_class_is_refused():
    with pytest.raises(RecipeError, match="OrdinalHead needs two classes or more"):
        build(DataSpec((), ("only",), (3,)))
