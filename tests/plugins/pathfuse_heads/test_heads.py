"""What both heads promise; numerics of the confidence terms are in the golden tests."""

import io
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec
from pathfuse.errors import RecipeError
from pathfuse_heads.confidence import ConfidenceHead
from pathfuse_heads.features import case_features
from pathfuse_heads.softmax import SoftmaxHead
from pathfuse_heads.weighting import class_weights

SPEC = DataSpec((), ("0", "1+", "2+", "3+"), (2, 10, 20, 8))
B, D = 6, 5
HEADS = pytest.mark.parametrize("kind", [SoftmaxHead, ConfidenceHead])


def build(kind, layout="vector", **options):
    torch.manual_seed(0)
    return kind(FusedSpec(D, layout), SPEC, **options)


def fused(seed=1, size=(B, D)):
    generator = torch.Generator().manual_seed(seed)
    return Fused(torch.randn(size, generator=generator), torch.ones(size[0], dtype=torch.bool))


def batch(target):
    names = tuple(str(row) for row in range(len(target)))
    return Batch({}, {}, torch.tensor(target), names, names)


TARGET = [0, 1, 2, 3, 2, 1]


@HEADS
def test_maps_are_averaged_over_their_positions(kind):
    maps = fused(size=(B, D, 4, 3))
    averaged = replace(maps, embedding=maps.embedding.mean((2, 3)))
    head = build(kind, "map").eval()
    assert_close(head(maps).logits, head(averaged).logits)


@HEADS
def test_packed_embeddings_are_refused(kind):
    with pytest.raises(RecipeError, match="pools"):
        build(kind, "packed")


@HEADS
def test_absent_rows_count_neither_in_loss_nor_gradient(kind):
    torch.manual_seed(3)
    head = build(kind).eval()
    present = torch.tensor([True, True, False, True, False, True])
    noisy = fused().embedding.clone()
    noisy[2], noisy[4] = float("nan"), 1e3
    prediction = head(Fused(noisy, present))
    terms = head.loss(prediction, batch(TARGET))
    alone = head(Fused(fused().embedding[present], present[present]))
    expected = head.loss(alone, batch([0, 1, 3, 1]))
    for name in terms:
        assert_close(terms[name], expected[name])
    sum(terms.values()).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters())


@HEADS
def test_unlabelled_cases_do_not_count(kind):
    head = build(kind).eval()
    first = Fused(fused().embedding[:4], torch.ones(4, dtype=torch.bool))
    with_unknown = head.loss(head(fused()), batch([0, 1, 2, 3, -1, -1]))
    without = head.loss(head(first), batch([0, 1, 2, 3]))
    for name in without:
        assert_close(with_unknown[name], without[name])


@HEADS
@pytest.mark.parametrize("divisor", ["weights", "cases"])
def test_a_batch_without_labels_gives_zero_attached_to_the_graph(kind, divisor):
    head = build(kind, divisor=divisor).train()
    terms = head.loss(head(fused()), batch([-1] * B))
    assert all(term.item() == 0 for term in terms.values())
    sum(terms.values()).backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in head.parameters())


def test_softmax_head_equals_torch_cross_entropy_with_class_weights():
    head = build(SoftmaxHead, hidden=7)
    prediction = head(fused())
    expected = F.cross_entropy(prediction.logits, torch.tensor(TARGET), class_weights(SPEC.class_counts, "inverse"))
    assert_close(head.loss(prediction, batch(TARGET))["classification"], expected)


def test_dividing_by_cases_scales_by_the_mean_weight():
    by_weights, by_cases = build(SoftmaxHead), build(SoftmaxHead, divisor="cases")
    mean_weight = class_weights(SPEC.class_counts, "inverse")[TARGET].mean()
    one = by_weights.loss(by_weights(fused()), batch(TARGET))["classification"]
    other = by_cases.loss(by_cases(fused()), batch(TARGET))["classification"]
    assert_close(other, one * mean_weight)


def test_a_class_without_training_cases_leaves_the_other_weights_alone():
    with_gap = class_weights((4, 0, 2), "inverse")
    assert_close(with_gap, torch.tensor([1 / 3, 0.0, 2 / 3]))
    assert_close(class_weights((0, 0), "inverse"), torch.ones(2))


def test_confidence_is_a_probability_and_comes_from_the_same_features():
    head = build(ConfidenceHead)
    prediction = head(fused())
    assert prediction.confidence.shape == (B,)
    assert ((prediction.confidence > 0) & (prediction.confidence < 1)).all()
    assert_close(prediction.confidence, head.trust(case_features(fused())).squeeze(1).sigmoid())


def test_without_hints_the_task_is_plain_cross_entropy():
    head = build(ConfidenceHead, hint_probability=0.0, class_weight="none").train()
    prediction = head(fused())
    terms = head.loss(prediction, batch(TARGET))
    assert_close(terms["classification"], F.cross_entropy(prediction.logits, torch.tensor(TARGET)))


def test_hints_lower_the_loss_only_in_training():
    head = build(ConfidenceHead, hint_probability=1.0)
    prediction = head(fused())
    trained = head.train().loss(prediction, batch(TARGET))["classification"]
    plain = head.eval().loss(prediction, batch(TARGET))["classification"]
    assert trained < plain


def test_hints_follow_torch_global_seed():
    head = build(ConfidenceHead).train()
    prediction = head(fused())
    draws = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        draws.append(head.loss(prediction, batch(TARGET))["classification"].item())
    assert draws[0] == draws[1]
    assert len(set(draws)) > 1


def test_factor_moves_in_training_only_and_after_the_step():
    head = build(ConfidenceHead, start=0.2)
    prediction = head(fused())
    head.eval().loss(prediction, batch(TARGET))
    assert_close(head.factor, torch.tensor(0.2))
    first = head.train().loss(prediction, batch(TARGET))["confidence"]
    spent = -prediction.confidence.log().mean()
    assert_close(first, 0.2 * spent)
    assert_close(head.factor, torch.tensor(0.2 / 0.99 if spent >= 0.3 else 0.2 / 1.01))
    first.backward()  # the buffer moved on, and the graph must not mind


def test_a_batch_without_labels_does_not_move_the_factor():
    head = build(ConfidenceHead).train()
    head.loss(head(fused()), batch([-1] * B))
    assert_close(head.factor, torch.tensor(0.1))


def test_a_resumed_head_continues_the_sequence_of_factors():
    def train(head, steps):
        for _ in range(steps):
            head.loss(head(fused()), batch(TARGET))

    whole, first, resumed = (build(ConfidenceHead).train() for _ in range(3))
    train(whole, 5)
    train(first, 3)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    train(resumed, 2)
    assert torch.equal(resumed.factor, whole.factor)
    assert not torch.equal(first.factor, whole.factor)


def test_half_precision_still_asks_a_price_for_high_confidence():
    head = build(ConfidenceHead).to(torch.bfloat16).eval()
    prediction = head(Fused(fused().embedding.bfloat16(), fused().present))
    sure = replace(prediction, extra={"confidence_logit": torch.full((B,), 8.0, dtype=torch.bfloat16)})
    assert head.loss(sure, batch(TARGET))["confidence"].item() > 0


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SoftmaxHead, {"dropout": 1.5}),
        (SoftmaxHead, {"label_smoothing": -0.1}),
        (SoftmaxHead, {"hidden": 0}),
        (ConfidenceHead, {"hint_probability": 2.0}),
        (ConfidenceHead, {"hidden": 0}),
    ],
)
def test_options_outside_their_range_are_named(kind, options):
    with pytest.raises(RecipeError, match=f"{kind.__name__}.{next(iter(options))}"):
        build(kind, **options)
