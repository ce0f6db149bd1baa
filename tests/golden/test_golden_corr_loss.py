"""The four readings of the correlation against the reference vectors."""

import pytest
import torch

from pathfuse_corranet.correlation import correlation
from tests.golden.vectors import DTYPES, assert_near, golden

READINGS = [
    ("corr_channel", "channel", "mean"),
    ("corr_flat", "flat", "mean"),
    ("corr_batch_sum", "batch", "sum"),
    ("corr_batch_mean", "batch", "mean"),
    ("corr_batch_channel_sum", "batch_channel", "sum"),
    ("corr_batch_channel_mean", "batch_channel", "mean"),
]


def maps(arrays, dtype, x="x"):
    return torch.tensor(arrays[x], dtype=dtype, requires_grad=True), torch.tensor(arrays["y"], dtype=dtype)


@DTYPES
@pytest.mark.parametrize(("key", "reading", "units"), READINGS)
def test_correlation_is_the_reference(key, reading, units, dtype):
    arrays = golden("corr_loss")
    eps = float(arrays["chandar_eps"]) if reading.startswith("batch") else 1e-8
    assert_near(correlation(*maps(arrays, dtype), reading=reading, units=units, eps=eps), arrays[key], dtype)


@DTYPES
@pytest.mark.parametrize(("key", "reading"), [("corr_channel", "channel"), ("corr_batch_sum", "batch")])
def test_its_gradient_is_the_reference(key, reading, dtype):
    arrays = golden("corr_loss")
    x, y = maps(arrays, dtype)
    correlation(x, y, reading=reading, units="sum", eps=float(arrays["chandar_eps"])).backward()
    assert_near(x.grad, arrays[f"grad_x_{key}"], dtype)


@DTYPES
def test_a_background_pixel_counts_zero_and_has_a_finite_gradient(dtype):
    arrays = golden("corr_loss")
    x, y = maps(arrays, dtype, "edge_x")
    value = correlation(x, y, eps=float(arrays["edge_clamp_eps"]))
    assert_near(value, arrays["edge_corr_channel_clamp"], dtype)
    value.backward()
    assert torch.isfinite(x.grad).all()
