"""SSIM and its mixture with L1 against the reference vectors."""

import torch

from pathfuse_corranet.ssim import mixture, ssim_map, window
from tests.golden.vectors import DTYPES, assert_near, golden


def images(arrays, dtype):
    return torch.tensor(arrays["pred"], dtype=dtype, requires_grad=True), torch.tensor(arrays["target"], dtype=dtype)


@DTYPES
def test_the_map_is_the_reference(dtype):
    arrays = golden("ssim_l1")
    got = ssim_map(*images(arrays, dtype))
    assert_near(window(got), arrays["gauss"], dtype)
    assert_near(got, arrays["ssim_map"], dtype)
    assert_near(got.mean((2, 3)), arrays["ssim_per_image_channel"], dtype)


@DTYPES
def test_the_mixture_is_the_reference_at_every_beta(dtype):
    arrays = golden("ssim_l1")
    pred, target = images(arrays, dtype)
    got = torch.stack([mixture(pred, target, beta=float(beta)).mean() for beta in arrays["betas"]])
    assert_near(got, arrays["mixture"], dtype)
    assert_near(1 - mixture(pred, target, beta=1.0).mean(), arrays["ssim"], dtype)
    assert_near(mixture(pred, target, beta=0.0).mean(), arrays["l1"], dtype)


@DTYPES
def test_the_gradient_of_the_mixture_is_the_reference(dtype):
    arrays = golden("ssim_l1")
    pred, target = images(arrays, dtype)
    mixture(pred, target, beta=0.84).mean().backward()
    assert_near(pred.grad, arrays["grad_pred_mixture_084"], dtype)


@DTYPES
def test_another_data_range_is_the_reference(dtype):
    arrays = golden("ssim_l1")
    pred, target = images(arrays, dtype)
    span = float(arrays["range2"])
    got = 1 - mixture(pred * span, target * span * 0.9, beta=1.0, data_range=span).mean()
    assert_near(got, arrays["ssim_range2"], dtype)
