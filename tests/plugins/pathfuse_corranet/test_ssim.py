import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch.testing import assert_close

from pathfuse.errors import RecipeError
from pathfuse_corranet.ssim import _AT_ONCE, mixture, ssim_map, window


def images(rows=2, channels=3, size=(17, 14), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(rows, channels, *size, generator=generator, dtype=dtype) for _ in range(2)]


def test_the_map_is_the_sum_over_windows():
    x, y = images(rows=1, channels=1, size=(12, 13))
    weight = torch.outer(window(x), window(x))
    got = ssim_map(x, y)[0, 0]
    for i in range(2):
        for j in range(3):
            a, b = x[0, 0, i : i + 11, j : j + 11], y[0, 0, i : i + 11, j : j + 11]
            m1, m2 = (weight * a).sum(), (weight * b).sum()
            v1, v2 = (weight * (a - m1) ** 2).sum(), (weight * (b - m2) ** 2).sum()
            cov = (weight * (a - m1) * (b - m2)).sum()
            expected = (2 * m1 * m2 + 1e-4) * (2 * cov + 9e-4) / ((m1**2 + m2**2 + 1e-4) * (v1 + v2 + 9e-4))
            assert_close(got[i, j], expected)


def test_scikit_image_agrees():
    x, y = images(rows=1, channels=1, size=(40, 30))
    full = structural_similarity(
        x[0, 0].numpy(), y[0, 0].numpy(), data_range=1.0, gaussian_weights=True, use_sample_covariance=False, full=True
    )[1]
    np.testing.assert_allclose(ssim_map(x, y)[0, 0].numpy(), full[5:-5, 5:-5], rtol=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.84, 1.0])
def test_the_mixture_and_its_gradient_are_those_of_the_map(beta):
    x, y = images()
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    got = mixture(a, y, beta=beta)
    expected = beta * (1 - ssim_map(b, y).mean((1, 2, 3))) + (1 - beta) * (b - y).abs().mean((1, 2, 3))
    assert_close(got, expected)
    weight = torch.tensor([0.3, -2.0], dtype=torch.float64)
    (weight * got).sum().backward()
    (weight * expected).sum().backward()
    assert_close(a.grad, b.grad)


def test_cases_do_not_depend_on_their_neighbours():
    size = 32
    rows = 2 * (_AT_ONCE // (3 * size * size)) + 3
    x, y = images(rows=rows, size=(size, size), dtype=torch.float32)
    together = mixture(x, y)
    assert_close(torch.cat([mixture(x[i : i + 1], y[i : i + 1]) for i in (0, rows - 1)]), together[[0, -1]])


def test_half_precision_views_are_compared_in_single_precision():
    x, y = images(dtype=torch.float32)
    half = x.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        got = mixture(half, y)
    assert_close(got, mixture(half.detach().float(), y))
    got.sum().backward()
    assert half.grad.dtype == torch.bfloat16


def test_images_smaller_than_the_window_are_refused():
    x, y = images(size=(10, 30))
    with pytest.raises(RecipeError, match=r"at least 11 px.*beta 0"):
        mixture(x, y)
