import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pathfuse_corranet.correlation import correlation


def maps(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 5, 4, 4, generator=generator, dtype=torch.float64)


def corrcoef(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("reading", ["channel", "flat", "batch", "batch_channel"])
def test_every_reading_is_a_loop_over_pearson(reading):
    x, y = maps()
    a, b = x.numpy(), y.numpy()
    n, d, h, w = a.shape
    loops = {
        "channel": [corrcoef(a[i, :, r, c], b[i, :, r, c]) for i in range(n) for r in range(h) for c in range(w)],
        "flat": [corrcoef(a[i], b[i]) for i in range(n)],
        "batch": [corrcoef(a[:, k, r, c], b[:, k, r, c]) for k in range(d) for r in range(h) for c in range(w)],
        "batch_channel": [corrcoef(a[:, k], b[:, k]) for k in range(d)],
    }
    expected = np.mean(loops[reading])
    assert_close(float(correlation(x, y, reading=reading)), float(expected), rtol=1e-6, atol=1e-8)


def test_a_map_correlates_with_a_scaled_copy_of_itself():
    x, _ = maps()
    assert_close(float(correlation(x, 3 * x + 2)), 1.0)
    assert_close(float(correlation(x, -x)), -1.0)


@pytest.mark.parametrize("reading", ["channel", "flat", "batch", "batch_channel"])
def test_constant_maps_give_zero_and_a_finite_gradient(reading):
    x = torch.full((3, 5, 4, 4), 0.7, requires_grad=True)
    value = correlation(x, torch.rand(3, 5, 4, 4), reading=reading)
    value.backward()
    assert abs(value.item()) < 1e-3
    assert torch.isfinite(x.grad).all()
