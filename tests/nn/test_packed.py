"""Reductions over packed bags against float64 and plain loops, in every precision that features come in."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from pathfuse.nn import (
    at_least_float,
    readable,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
    segment_top_k,
)

DTYPES = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=5)
CENTRES = st.sampled_from([0.0, 52.0, -3000.0])


def bags(lengths: list[int], dtype: torch.dtype, centre: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (centre + torch.randn(sum(lengths), 3, generator=generator)).to(dtype)


def each(values: torch.Tensor, lengths: list[int]) -> list[torch.Tensor]:
    return list(values.double().split(lengths))


@given(LENGTHS, DTYPES, CENTRES, st.integers(0, 99))
def test_reductions_of_any_precision_are_those_of_float64(lengths, dtype, centre, seed):
    values, sizes = bags(lengths, dtype, centre, seed), torch.tensor(lengths)
    exact = each(values, lengths)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype != torch.float64 else {}
    means = torch.stack([bag.mean(0) if len(bag) else bag.new_zeros(3) for bag in exact])
    got = segment_mean(values, sizes)
    assert got.dtype == at_least_float(values).dtype
    assert_close(got.double(), means, **close)
    weight = segment_softmax(values[:, :2], sizes)
    assert_close(weight.double(), torch.cat([bag[:, :2].softmax(0) for bag in exact]), **close)
    sums = [w.double().T @ bag for w, bag in zip(weight.split(lengths), exact, strict=True)]
    assert_close(segment_sum(weight, values, sizes).double(), torch.stack(sums), rtol=1e-5, atol=1e-2)
    highest, row = segment_max(values, sizes)
    for case, bag in enumerate(exact):
        if len(bag):
            assert torch.equal(highest[case].double(), bag.amax(0))
            assert torch.equal(values[row[case], torch.arange(3)].double(), highest[case].double())
        else:
            assert row[case].eq(-1).all() and highest[case].eq(0).all()


@given(LENGTHS, DTYPES, st.integers(1, 45), st.integers(0, 99))
def test_the_best_patches_are_those_of_a_stable_sort(lengths, dtype, k, seed):
    score = bags(lengths, dtype, 0.0, seed)[:, 0].round(decimals=0)
    rows, counts = segment_top_k(score, torch.tensor(lengths), k)
    expected, start = [], 0
    for size in lengths:
        own = score[start : start + size].tolist()
        expected += [start + row for row in sorted(range(size), key=lambda r: -own[r])[:k]]
        start += size
    assert rows.tolist() == expected and counts.tolist() == [min(k, size) for size in lengths]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mean_of_a_large_half_precision_bag_neither_overflows_nor_drifts(dtype):
    values = (52 + torch.rand(20_000, 4)).to(dtype).requires_grad_()
    mean = segment_mean(values, torch.tensor([20_000]))
    assert_close(mean[0].double(), values.detach().double().mean(0), rtol=1e-6, atol=0)
    mean.sum().backward()
    assert values.grad.dtype == dtype
    assert_close(values.grad.double(), torch.full((20_000, 4), 1 / 20_000).double(), rtol=0.01, atol=1e-8)


def test_without_gradients_half_precision_is_converted_in_pieces(monkeypatch):
    values, lengths = bags([50, 3], torch.float16, 52.0, 0), torch.tensor([50, 3])
    whole = segment_mean(values, lengths)
    monkeypatch.setattr("pathfuse.nn.packed.ROWS", 7)
    assert_close(segment_mean(values, lengths), whole)


@given(LENGTHS, st.integers(0, 99))
def test_readable_patches_are_those_of_present_cases_and_spread_back(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(len(lengths), generator=generator) < 0.5
    values = bags(lengths, torch.float32, 0.0, seed)
    bag = readable(values, torch.tensor(lengths), present)
    owner = torch.repeat_interleave(torch.tensor(lengths))
    assert torch.equal(bag.values, values[present[owner]])
    assert int(bag.lengths.sum()) == len(bag.values)
    back = bag.spread(bag.values, len(values))
    assert torch.equal(back, torch.where(present[owner][:, None], values, 0))
