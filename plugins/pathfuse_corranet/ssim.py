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
from torch.nn.functional import conv2d, pad

from pathfuse.errors import RecipeError

TAPS, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
_AT_ONCE = 200_000  # values worked on at once, so that what lies between two steps stays in the cache
_AT_ONCE_GPU = 50_000_000
_BLOCK = 16  # means computed by one small matrix product


def mixture(pred: Tensor, target: Tensor, *, beta: float = 0.84, data_range: float = 1.0) -> Tensor:
    """The mixture beta * (1 - SSIM) + (1 - beta) * L1 per case, (B,), in single precision or better.

    Forward and backward of four 256-pixel cases on one core: 17 ms here, 85 ms with MONAI's SSIMLoss (the same
    value), 260 ms with torchmetrics (another value, as it pads the images). A step of this network compares 96 cases.

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
    m1, m2, xx, yy, xy = (local_mean(a) for a in (x, y, x * x, y * y, x * y))
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    top = (2 * m1 * m2 + c1) * (2 * (xy - m1 * m2) + c2)
    similarity = top / ((m1 * m1 + m2 * m2 + c1) * (xx - m1 * m1 + yy - m2 * m2 + c2))
    return similarity.view(*pred.shape[:2], *similarity.shape[1:])


def local_mean(maps: Tensor) -> Tensor:
    """Gaussian means of maps (N, H, W) where the window fits, as one would write it down."""
    taps = window(maps).view(1, 1, TAPS, 1)
    return conv2d(conv2d(maps.unsqueeze(1), taps), taps.transpose(2, 3)).squeeze(1)


def window(like: Tensor) -> Tensor:
    """The Gaussian window (11,), summing to 1."""
    at = torch.arange(TAPS, dtype=torch.float64) - TAPS // 2
    weight = torch.exp(-(at**2) / (2 * SIGMA**2))
    return (weight / weight.sum()).to(like)


class _Mixture(torch.autograd.Function):
    """A few cases at a time: value and gradient together, nothing kept but the gradient image."""

    @staticmethod
    def forward(ctx: Any, pred: Tensor, target: Tensor, beta: float, data_range: float) -> Tensor:  # noqa: ANN401
        values, slopes = [], torch.empty_like(pred) if ctx.needs_input_grad[0] else None
        at_once = _AT_ONCE if pred.device.type == "cpu" else _AT_ONCE_GPU
        cases = max(1, at_once // max(1, pred[:1].numel()))
        with torch.autocast(pred.device.type, enabled=False):  # variances are differences of near-equal numbers
            for part in range(0, pred.shape[0], cases):
                some = slice(part, part + cases)
                x, y = (_precise(images[some]).contiguous() for images in (pred, target))  # (n, C, H, W)
                similarity, slope = _ssim(x, y, data_range, want_slope=slopes is not None)
                difference = x - y
                values.append(beta * (1 - similarity) + (1 - beta) * difference.abs().mean((1, 2, 3)))
                if slopes is not None and slope is not None:
                    slope = slope.mul_(-beta).add_(difference.sign_(), alpha=(1 - beta) / difference[0].numel())
                    slopes[some] = slope
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return torch.cat(values) if values else _precise(pred).new_zeros(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        (slopes,) = ctx.saved_tensors
        return slopes * grad.to(slopes.dtype).view(-1, 1, 1, 1), None, None, None


def _ssim(x: Tensor, y: Tensor, data_range: float, *, want_slope: bool) -> tuple[Tensor, Tensor | None]:
    """Mean SSIM (n,) of cases (n, C, H, W) and, if wanted, its derivative with respect to x."""
    cases, (high, wide) = x.shape[0], x.shape[-2:]
    whole = (0, -wide % _BLOCK, 0, -high % _BLOCK)
    x, y = pad(x.flatten(0, 1), whole), pad(y.flatten(0, 1), whole)
    valid = (slice(high - TAPS + 1), slice(wide - TAPS + 1))  # beyond lies what the means made of the seams
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    m1, m2, xx, yy, xy = (_means(a) for a in (x, y, x * x, y * y, x * y))
    a1 = (m1 * m2).mul_(2).add_(c1)
    a2 = xy.mul_(2).add_(c1 + c2).sub_(a1)  # 2 (xy - m1 m2) + c2
    b1 = (m1 * m1).addcmul_(m2, m2).add_(c1)
    b2 = xx.add_(yy).sub_(b1).add_(c1 + c2)
    inverse = (b1 * b2).reciprocal_()
    similarity = (a1 * a2).mul_(inverse)
    each = similarity[:, *valid].mean((1, 2)).view(cases, -1)  # (n, C)
    if not want_slope:
        return each.mean(1), None
    # SSIM depends on x through its local mean m1 and the local means of x^2 and xy.
    by_xx = (similarity / b2).neg_()
    by_mean = m2.mul_(a2.sub_(a1)).mul_(inverse).sub_(similarity.div_(b1).add_(by_xx).mul_(m1))
    by_xy = a1.mul_(inverse)
    for by in (by_mean, by_xx, by_xy):
        by[:, valid[0].stop :] = 0
        by[:, :, valid[1].stop :] = 0
    from_mean, from_xx, from_xy = (_means(by, back=True) for by in (by_mean, by_xx, by_xy))
    slope = from_xx.mul_(x).addcmul_(from_xy, y).add_(from_mean)[:, :high, :wide]
    return each.mean(1), slope.mul(2 * cases / similarity[:, *valid].numel()).view(cases, -1, high, wide)


def _means(maps: Tensor, *, back: bool = False) -> Tensor:
    """Gaussian means of maps (..., H, W), H and W multiples of 16; `back` is the transposed operation.

    All maps together are one long signal, and sixteen neighbouring means are a 16 x 26 matrix times 26 values. The
    last ten means of a line mix it with the next one: the caller leaves them out, or, for `back`, has zeros there.
    A shifted sum per tap costs as much on idle cores; on busy ones they would wait for each other after every tap.
    """
    wide, reach = maps.shape[-1], TAPS - 1
    ends = (reach, 0) if back else (0, reach)
    period = pad(window(maps), (0, _BLOCK))  # repeated, it fills each row of the matrix one place further right
    band = period.repeat(_BLOCK)[: _BLOCK * (_BLOCK + reach)].view(_BLOCK, -1)  # (16, 26)
    line = pad(maps.flatten(), ends)
    n = line.numel()
    kernel = band.view(_BLOCK, 1, 1, -1).contiguous(memory_format=torch.channels_last)
    signal = line.as_strided((1, 1, 1, n), (n, 1, n, 1))
    across = conv2d(signal, kernel, stride=(1, _BLOCK))  # (1, 16, 1, N * H * W / 16)
    lines = pad(across.permute(0, 2, 3, 1).reshape(-1, wide), (0, 0, *ends))  # (N * H + 10, W)
    blocks = maps.numel() // wide // _BLOCK
    steps = lines.as_strided((blocks, _BLOCK + reach, wide), (_BLOCK * wide, wide, 1))
    return torch.bmm(band.expand(blocks, -1, -1), steps).view(maps.shape)


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
