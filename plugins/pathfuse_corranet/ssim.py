"""SSIM and its mixture with L1, per case, with the gradient worked out by hand.

Constants of the definition: Gaussian window of 11 taps, sigma 1.5, valid positions only, K 0.01 and 0.03, biased
local moments.

Source: Wang et al. 2004 (SSIM); Zhao et al. 2017, arXiv:1511.08861 (the mixture, beta 0.84).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

from pathfuse.errors import RecipeError

TAPS, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def mixture(pred: Tensor, target: Tensor, *, beta: float = 0.84, data_range: float = 1.0) -> Tensor:
    """The mixture beta * (1 - SSIM) + (1 - beta) * L1 per case, (B,), in single precision or better.

    MONAI's and torchmetrics' SSIM give the same numbers from one full 11x11 convolution and autograd; this one is
    separable, goes case by case so that its intermediates stay in the cache, and keeps one gradient image
    (`benchmarks/bench_correlate.py` has the figures).

    Args:
        pred: images (B, C, H, W); the gradient flows here only.
        target: what they should be.
        beta: weight of SSIM; 0 is L1 alone.
        data_range: span of the values, 1 for images in [0, 1].

    Raises:
        RecipeError: if the images are smaller than the window.
    """
    if beta == 0.0:
        return (_precise(pred) - _precise(target)).abs().mean((1, 2, 3))
    if min(pred.shape[-2:]) < TAPS:
        raise RecipeError(
            f"model.objective.beta: SSIM needs images of at least {TAPS} px, these are "
            f"{pred.shape[-2]}x{pred.shape[-1]}; use larger images or beta 0"
        )
    mixed: Tensor = _Mixture.apply(pred, target, beta, data_range)
    return mixed


def ssim_map(pred: Tensor, target: Tensor, *, data_range: float = 1.0) -> Tensor:
    """SSIM (B, C, H - 10, W - 10) at every position where the window fits; differentiable."""
    m1, m2, xx, yy, xy = _blur(torch.cat([pred, target, pred * pred, target * target, pred * target], 1)).chunk(5, 1)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    top = (2 * m1 * m2 + c1) * (2 * (xy - m1 * m2) + c2)
    return top / ((m1 * m1 + m2 * m2 + c1) * (xx - m1 * m1 + yy - m2 * m2 + c2))


def window(like: Tensor) -> Tensor:
    """The Gaussian window (11,), summing to 1."""
    at = torch.arange(TAPS, dtype=torch.float64) - TAPS // 2
    weight = torch.exp(-(at**2) / (2 * SIGMA**2))
    return (weight / weight.sum()).to(like)


class _Mixture(torch.autograd.Function):
    """One case at a time: value and gradient together, nothing kept but the gradient image."""

    @staticmethod
    def forward(ctx: Any, pred: Tensor, target: Tensor, beta: float, data_range: float) -> Tensor:  # noqa: ANN401
        values, slopes = [], torch.empty_like(pred) if ctx.needs_input_grad[0] else None
        with torch.autocast(pred.device.type, enabled=False):  # variances are differences of near-equal numbers
            for row in range(pred.shape[0]):
                x, y = _row(pred, row), _row(target, row)  # (1, C, H, W)
                similarity, slope = _ssim(x, y, data_range, want_slope=slopes is not None)
                difference = x - y
                values.append(beta * (1 - similarity) + (1 - beta) * difference.abs().mean())
                if slopes is not None and slope is not None:
                    slopes[row] = slope.mul_(-beta).add_(difference.sign_(), alpha=(1 - beta) / difference.numel())[0]
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return torch.stack(values) if values else _precise(pred).new_zeros(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        (slopes,) = ctx.saved_tensors
        return slopes * grad.to(slopes.dtype).view(-1, 1, 1, 1), None, None, None


def _ssim(x: Tensor, y: Tensor, data_range: float, *, want_slope: bool) -> tuple[Tensor, Tensor | None]:
    """Mean SSIM of one case and, if wanted, its derivative with respect to x."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    m1, m2, xx, yy, xy = _blur(torch.cat([x, y, x * x, y * y, x * y], 1)).chunk(5, 1)
    a1, a2 = 2 * m1 * m2 + c1, 2 * (xy - m1 * m2) + c2
    b1 = m1 * m1 + m2 * m2
    b2 = (xx + yy - b1).add_(c2)
    b1 = b1.add_(c1)
    inverse = 1 / (b1 * b2)
    similarity = a1 * a2 * inverse
    if not want_slope:
        return similarity.mean(), None
    # SSIM depends on x through its local mean m1 and the local means of x^2 and xy.
    by_xx = -similarity / b2
    by_xy = 2 * a1 * inverse
    by_mean = 2 * (m2 * inverse * (a2 - a1) - m1 * (by_xx + similarity / b1))
    back = _blur(torch.cat([by_mean, by_xx, by_xy], 1), padding=TAPS - 1)
    from_mean, from_xx, from_xy = back.chunk(3, 1)
    slope = from_xx.mul_(x).mul_(2).addcmul_(from_xy, y).add_(from_mean)
    return similarity.mean(), slope.div_(similarity.numel())


def _blur(maps: Tensor, padding: int = 0) -> Tensor:
    channels = maps.shape[1]
    taps = window(maps)
    down = conv2d(maps, taps.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), padding=(padding, 0), groups=channels)
    return conv2d(down, taps.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), padding=(0, padding), groups=channels)


def _row(images: Tensor, row: int) -> Tensor:
    # Depthwise convolution is ten times faster here when the channels lie innermost.
    return _precise(images[row : row + 1]).contiguous(memory_format=torch.channels_last)


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
