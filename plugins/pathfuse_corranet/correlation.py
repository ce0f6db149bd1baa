"""Correlation of two stains' feature maps, in the four readings that the literature allows.

Source: Dutta et al. 2025, L_corr (the axis of the means is not said); Chandar et al. 2016, eq. 5.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Reading = Literal["channel", "flat", "batch", "batch_channel"]
Units = Literal["mean", "sum"]


def correlation(
    x: Tensor, y: Tensor, *, reading: Reading = "channel", units: Units = "mean", eps: float = 1e-8
) -> Tensor:
    """Pearson correlation of two maps (B, D, H, W) as one scalar in single precision or better.

    Args:
        x: maps of one stain.
        y: maps of the other, same shape.
        reading: what is correlated. `channel`: the D features at every pixel, averaged over pixels and cases.
            `flat`: all D*H*W values of a case, averaged over cases. `batch`: every unit over the cases of the batch.
            `batch_channel`: every channel over the cases and pixels of the batch.
        units: for the two batch readings, mean or sum over units.
        eps: keeps the denominator from zero. In `channel` and `flat` it is a lower bound, so a pixel whose features
            are all equal (background) counts 0 and no other value changes; in the batch readings it is added to
            each sum of squares.

    Source: `batch` is Chandar et al. 2016, eq. 5; `channel` is what the released Corr-A-Net computes.
    Departs: the released code has no guard and turns NaN on the first background pixel.
    """
    x, y = _precise(x), _precise(y)
    if reading == "channel":
        return pearson(x, y, dims=(1,), eps=eps).mean()  # (B, H, W)
    if reading == "flat":
        return pearson(x, y, dims=(1, 2, 3), eps=eps).mean()  # (B,)
    dims = (0,) if reading == "batch" else (0, 2, 3)
    per_unit = _pearson_chandar(x, y, dims, eps)  # (D, H, W) or (D,)
    return per_unit.mean() if units == "mean" else per_unit.sum()


def pearson(x: Tensor, y: Tensor, *, dims: tuple[int, ...], eps: float = 1e-8) -> Tensor:
    """Pearson over some dimensions; 0 where one side is constant."""
    u, v = x - x.mean(dims, keepdim=True), y - y.mean(dims, keepdim=True)
    # One root of the clamped product: two separate roots have an infinite slope at zero, and 0 * inf is NaN.
    squares = (u * u).sum(dims) * (v * v).sum(dims)
    return (u * v).sum(dims) / squares.clamp_min(eps * eps).sqrt()


def _pearson_chandar(x: Tensor, y: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    u, v = x - x.mean(dims, keepdim=True), y - y.mean(dims, keepdim=True)
    return (u * v).sum(dims) / (((u * u).sum(dims) + eps).sqrt() * ((v * v).sum(dims) + eps).sqrt())


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
