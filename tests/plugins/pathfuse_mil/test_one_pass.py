"""Pooling in one pass against the same equations written with whole tensors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from pathfuse.nn import segment_softmax, segment_sum
from pathfuse_mil.attention import GatedAttention
from pathfuse_mil.one_pass import attention_pool


def attention(gated=True, branches=1, dtype=torch.float64):
    torch.manual_seed(0)
    return GatedAttention(6, hidden=4, gated=gated, branches=branches).to(dtype)


def in_full(layer, values, lengths):
    weight = segment_softmax(layer(values), lengths)
    return segment_sum(weight, values, lengths), weight


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    gated=st.booleans(),
    branches=st.integers(1, 3),
    block=st.sampled_from([1, 5, 64]),
    centre=st.sampled_from([0.0, 1e4]),
)
def test_sums_weights_and_gradients_are_those_of_the_full_form(lengths, gated, branches, block, centre):
    layer, sizes = attention(gated, branches), torch.tensor(lengths)
    layer.weight.bias.data += centre
    values = torch.randn(sum(lengths), 6, dtype=torch.float64, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathfuse_mil.one_pass.BLOCK", block)
        mine = attention_pool(values, sizes, layer.scorer())
        theirs = in_full(layer, values, sizes)
        slopes = [torch.randn_like(each) for each in theirs]
        both = []
        for pair in (mine, theirs):
            total = sum((each * slope).sum() for each, slope in zip(pair, slopes, strict=True))
            both.append(torch.autograd.grad(total, [values, *layer.parameters()]))
    for one, two in zip([*mine, *both[0]], [*theirs, *both[1]], strict=True):
        assert_close(one, two, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("features", [torch.float16, torch.bfloat16, torch.float32])
def test_features_of_any_precision_under_autocast(features):
    layer, lengths = attention(dtype=torch.float32), torch.tensor([9, 0, 4])
    values = torch.randn(13, 6).to(features).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        sums, weight = attention_pool(values, lengths, layer.scorer())
    assert sums.dtype == weight.dtype == torch.float32
    exact, _ = in_full(layer, values.float(), lengths)
    assert_close(sums, exact, rtol=0.02, atol=0.02)
    sums.square().sum().backward()
    assert values.grad.dtype == features and layer.value.weight.grad.dtype == torch.float32
    expected = torch.autograd.grad(exact.square().sum(), layer.value.weight)[0]
    assert_close(layer.value.weight.grad, expected, rtol=0.1, atol=0.05)


def test_only_the_gates_are_kept_for_the_backward_pass():
    layer, lengths = attention(), torch.tensor([40, 30])
    values, kept = torch.randn(70, 6, dtype=torch.float64), []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        attention_pool(values, lengths, layer.scorer())
    widths = [each.shape[1] for each in kept if len(each) == 70 and each is not values]
    assert sum(widths) == 1 + 8  # their weights and both gates, beside the patches themselves
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.no_grad():
        before = len(kept)
        attention_pool(values, lengths, layer.scorer())
    assert len(kept) == before


def test_scores_far_apart_stay_finite():
    layer = attention(dtype=torch.float32)
    layer.weight.weight.data *= 1e5
    values = torch.randn(20, 6, requires_grad=True)
    sums, weight = attention_pool(values, torch.tensor([20]), layer.scorer())
    assert_close(weight.sum(), torch.tensor(1.0))
    sums.sum().backward()
    assert values.grad.isfinite().all()
