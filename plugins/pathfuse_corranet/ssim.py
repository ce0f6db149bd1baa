"""SSIM and its mixture with L1, per case, with the gradient worked out by hand.

Constants of the definition: Gaussian window of 11 taps, sigma 1.5, valid positions only, K 0.01 and 0.03, biased
local moments.

Source: Wang et al. 2004 (SSIM); Zhao et al. 2017, arXiv:1511.08861 (the mixture, beta 0.84).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from pathfuse.errors import RecipeError

TAPS, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
_AT_ONCE = 200_000  # values worked on at once: 0.8 MB, about what a core has as cache of its own
_AT_ONCE_GPU = 50_000_000


def mixture(pred: Tensor, target: Tensor, *, beta: float = 0.84, data_range: float = 1.0) -> Tensor:
    """The mixture beta * (1 - SSIM) + (1 - beta) * L1 per case, (B,), in single precision or better.

    MONAI's and torchmetrics' SSIM give the same numbers from one full 11x11 convolution and autograd; this one is
    separable, takes a few cases at a time so that its intermediates stay in the cache, and keeps one gradient image
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
    x, y = pred.flatten(0, 1), target.flatten(0, 1)  # (B * C, H, W)
    m1, m2, xx, yy, xy = (blur(a) for a in (x, y, x * x, y * y, x * y))
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    top = (2 * m1 * m2 + c1) * (2 * (xy - m1 * m2) + c2)
    similarity = top / ((m1 * m1 + m2 * m2 + c1) * (xx - m1 * m1 + yy - m2 * m2 + c2))
    return similarity.view(*pred.shape[:2], *similarity.shape[1:])


def blur(maps: Tensor, *, step: int = 1, padding: int = 0) -> Tensor:
    """Gaussian means of maps (N, H, W * step) where the window fits; `step` values lie side by side at each pixel.

    Shifted sums: for eleven taps faster than a depthwise convolution, whose layouts do not suit three channels.
    """
    maps = pad(maps, (padding * step, padding * step, padding, padding)) if padding else maps
    taps = _taps()
    high, wide = maps.shape[1] - TAPS + 1, maps.shape[2] - (TAPS - 1) * step
    down: Tensor = maps[:, :high] * taps[0]
    for i in range(1, TAPS):
        down.add_(maps[:, i : i + high], alpha=taps[i])
    across: Tensor = down[:, :, :wide] * taps[0]
    for i in range(1, TAPS):
        across.add_(down[:, :, i * step : i * step + wide], alpha=taps[i])
    return across


def window(like: Tensor) -> Tensor:
    """The Gaussian window (11,), summing to 1."""
    at = torch.arange(TAPS, dtype=torch.float64) - TAPS // 2
    weight = torch.exp(-(at**2) / (2 * SIGMA**2))
    return (weight / weight.sum()).to(like)


@cache
def _taps() -> tuple[float, ...]:
    return tuple(window(torch.zeros(0, dtype=torch.float64)).tolist())


class _Mixture(torch.autograd.Function):
    """A few cases at a time: value and gradient together, nothing kept but the gradient image."""

    @staticmethod
    def forward(ctx: Any, pred: Tensor, target: Tensor, beta: float, data_range: float) -> Tensor:  # noqa: ANN401
        values, slopes = [], torch.empty_like(pred) if ctx.needs_input_grad[0] else None
        channels = pred.shape[1]
        at_once = _AT_ONCE if pred.device.type == "cpu" else _AT_ONCE_GPU
        cases = max(1, at_once // max(1, pred[:1].numel()))
        with torch.autocast(pred.device.type, enabled=False):  # variances are differences of near-equal numbers
            for part in range(0, pred.shape[0], cases):
                some = slice(part, part + cases)
                x, y = _flat(pred[some]), _flat(target[some])  # (n, H, W * C)
                similarity, slope = _ssim(x, y, channels, data_range, want_slope=slopes is not None)
                difference = x - y
                values.append(beta * (1 - similarity) + (1 - beta) * difference.abs().mean((1, 2)))
                if slopes is not None and slope is not None:
                    slope = slope.mul_(-beta).add_(difference.sign_(), alpha=(1 - beta) / difference[0].numel())
                    slopes[some] = slope.view(*slope.shape[:2], -1, channels).permute(0, 3, 1, 2)
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return torch.cat(values) if values else _precise(pred).new_zeros(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        (slopes,) = ctx.saved_tensors
        return slopes * grad.to(slopes.dtype).view(-1, 1, 1, 1), None, None, None


def _ssim(x: Tensor, y: Tensor, channels: int, data_range: float, *, want_slope: bool) -> tuple[Tensor, Tensor | None]:
    """Mean SSIM (n,) of cases (n, H, W * C) and, if wanted, its derivative with respect to x."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    m1, m2, xx, yy, xy = (blur(a, step=channels) for a in (x, y, x * x, y * y, x * y))
    a1 = (m1 * m2).mul_(2).add_(c1)
    a2 = xy.mul_(2).add_(c1 + c2).sub_(a1)  # 2 (xy - m1 m2) + c2
    b1 = (m1 * m1).addcmul_(m2, m2).add_(c1)
    b2 = xx.add_(yy).sub_(b1).add_(c1 + c2)
    inverse = (b1 * b2).reciprocal_()
    similarity = (a1 * a2).mul_(inverse)
    mean = similarity.mean((1, 2))
    if not want_slope:
        return mean, None
    # SSIM depends on x through its local mean m1 and the local means of x^2 and xy.
    by_xx = (similarity / b2).neg_()
    by_mean = m2.mul_(a2.sub_(a1)).mul_(inverse).sub_(similarity.div_(b1).add_(by_xx).mul_(m1)).mul_(2)
    by_xy = a1.mul_(inverse).mul_(2)
    from_mean, from_xx, from_xy = (blur(a, step=channels, padding=TAPS - 1) for a in (by_mean, by_xx, by_xy))
    slope = from_xx.mul_(x).mul_(2).addcmul_(from_xy, y).add_(from_mean)
    return mean, slope.div_(similarity[0].numel())


def _flat(images: Tensor) -> Tensor:
    """Images (n, C, H, W) as (n, H, W * C), which is how they lie in memory after a channels-last convolution."""
    return _precise(images).permute(0, 2, 3, 1).flatten(2)


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
