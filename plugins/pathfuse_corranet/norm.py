"""Batch norm and activation in one step: fast with few channels, and exact for a batch in which rows repeat."""

from __future__ import annotations

from math import gcd
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm, leaky_relu, leaky_relu_

Activation = Literal["relu", "leaky", "none"]
Runs = tuple[tuple[int, int], ...]
"""Consecutive rows of a batch: (how many rows, how often each of them counts)."""

_LANES = 256  # floats side by side; wide enough for any vector unit
_BLOCK = 4096  # rows summed at once: a longer float32 sum loses digits that the loss would show


def slope_of(activation: Activation, leaky_slope: float) -> float:
    """The factor on negative values that makes the activation."""
    return {"relu": 0.0, "leaky": leaky_slope, "none": 1.0}[activation]


def activate(x: Tensor, slope: float) -> Tensor:
    """ReLU (slope 0), leaky ReLU, or nothing (slope 1)."""
    return x if slope == 1.0 else leaky_relu(x, slope)


class NormAct(nn.BatchNorm2d):
    """Batch norm, then the activation.

    With `runs` the statistics, and so the gradients, are those of a batch in which every row is repeated as often as
    `runs` says, without the repeats being computed. The parameters and buffers are those of `nn.BatchNorm2d`.

    Args:
        channels: channels of the maps.
        slope: factor on negative values: 0 is ReLU, 1 is no activation.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, channels: int, *, slope: float = 0.0) -> None:
        super().__init__(channels)
        self.slope = slope

    def forward(self, x: Tensor, runs: Runs | None = None) -> Tensor:
        """Maps (B, D, H, W) to maps of the same shape."""
        if self.training:
            runs = runs or ((x.shape[0], 1),)
            out: tuple[Tensor, Tensor, Tensor] = _NormAct.apply(x, self.weight, self.bias, self.eps, self.slope, runs)
            y, mean, var = out
            self._track(mean, var, _count(runs) * x.shape[2] * x.shape[3])
            return y
        mean, var = self.running_mean, self.running_var
        k = _fold(x)
        y = _normalise(_lanes(x, k), self.weight, self.bias, mean, var, self.eps, k)
        return activate(_unlanes(y, x.shape), self.slope)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        unbiased = var * (count / max(count - 1, 1))
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        self.num_batches_tracked.add_(1)


class _NormAct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        slope: float,
        runs: Runs,
    ) -> tuple[Tensor, Tensor, Tensor]:
        k = _fold(x)
        rows = _lanes(x, k)
        mean, var = _statistics(rows, x.shape, runs, k)
        y = _normalise(rows, weight, bias, mean, var, eps, k)
        if slope != 1.0:
            y = leaky_relu_(y, slope)
        ctx.save_for_backward(rows, y, weight, mean, var)
        ctx.eps, ctx.slope, ctx.runs, ctx.k, ctx.shape = eps, slope, runs, k, x.shape
        ctx.mark_non_differentiable(mean, var)
        return _unlanes(y, x.shape), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        rows, y, weight, mean, var = ctx.saved_tensors
        k, runs = ctx.k, ctx.runs
        g = _lanes(grad, k).to(rows.dtype)
        if ctx.slope != 1.0:
            g = torch.ops.aten.leaky_relu_backward(g, y, ctx.slope, True)
        fine = _fine(weight)
        _, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            g, rows, fine.repeat(k), mean.repeat(k), var.repeat(k), None, None, False, ctx.eps, [False, True, True]
        )
        by_weight, by_bias = by_weight.view(k, -1).sum(0), by_bias.view(k, -1).sum(0)
        # Every element pays for its part in the mean and the variance, as often as its row counts:
        # dx = scale * g - times * (scale / n) * (by_bias + x_hat * by_weight), and x_hat is linear in x.
        inverse = (var + ctx.eps).rsqrt()
        scale = fine * inverse
        per_x = -scale * inverse * by_weight / (_count(runs) * ctx.shape[2] * ctx.shape[3])
        fixed = -scale * by_bias / (_count(runs) * ctx.shape[2] * ctx.shape[3]) - per_x * mean
        dx = torch.empty_like(rows)
        for (_, times), span in zip(runs, _spans(runs, ctx.shape, rows), strict=True):
            part = dx[span]
            torch.addcmul(
                (times * fixed).to(rows.dtype).repeat(k), rows[span], (times * per_x).to(rows.dtype).repeat(k), out=part
            )
            part.addcmul_(g[span], scale.to(rows.dtype).repeat(k))
        return _unlanes(dx, ctx.shape), by_weight.to(weight.dtype), by_bias.to(weight.dtype), None, None, None


def _statistics(rows: Tensor, shape: torch.Size, runs: Runs, k: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (D,) over the batch with its repeats, pooled from runs, blocks and lanes."""
    means, variances, counts = [], [], []
    blank = torch.zeros(rows.shape[1], dtype=_fine(rows).dtype, device=rows.device)
    for (_, times), span in zip(runs, _spans(runs, shape, rows), strict=True):
        for block in torch.split(rows[span], _BLOCK):
            mean, var = torch.batch_norm_update_stats(block, blank.clone(), blank.clone(), 0.0)
            means.append(mean.view(k, -1).double())
            variances.append(var.view(k, -1).double())
            counts.append(times * block.shape[0])
    weight = torch.tensor(counts, dtype=torch.float64, device=rows.device).view(-1, 1, 1)
    weight = weight / (weight.sum() * k)
    mean_of, var_of = torch.stack(means), torch.stack(variances)  # (blocks, k, D)
    mean = (weight * mean_of).sum((0, 1))
    var = (weight * (var_of + (mean_of - mean) ** 2)).sum((0, 1))
    return mean.to(blank.dtype), var.to(blank.dtype)


def _normalise(rows: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float, k: int) -> Tensor:
    weight, bias, mean, var = (_fine(p).repeat(k) for p in (weight, bias, mean, var))
    return batch_norm(rows, mean, var, weight, bias, eps=eps)


def _fold(x: Tensor) -> int:
    """How many pixels are laid side by side, so that even four channels fill a vector register."""
    if x.device.type != "cpu":
        return 1
    return gcd(x.shape[2] * x.shape[3], max(1, _LANES // x.shape[1]))


def _lanes(x: Tensor, k: int) -> Tensor:
    """Maps (B, D, H, W) as rows of k pixels (B*H*W/k, k*D); free when the channels lie innermost."""
    return x.permute(0, 2, 3, 1).reshape(-1, k * x.shape[1])


def _unlanes(rows: Tensor, shape: torch.Size) -> Tensor:
    b, d, h, w = shape
    return rows.view(b, h, w, d).permute(0, 3, 1, 2)


def _spans(runs: Runs, shape: torch.Size, rows: Tensor) -> list[slice]:
    per_row = rows.shape[0] // max(shape[0], 1)
    spans, start = [], 0
    for n, _ in runs:
        spans.append(slice(start * per_row, (start + n) * per_row))
        start += n
    return spans


def _count(runs: Runs) -> int:
    return sum(n * times for n, times in runs)


def _fine(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
