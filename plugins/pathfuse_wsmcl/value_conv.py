"""The convolution of the values along the sequence of patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

BLOCK = 64


def sequence_conv(values: Tensor, kernel: Tensor) -> Tensor:
    """Depth-wise convolution along the rows of `values`, one kernel per head, zeros beyond both ends.

    As products with banded matrices, because a depth-wise convolution of this shape runs on one channel at a time: on a
    CPU its backward pass takes as long as the whole attention.

    Args:
        values: (n, heads, d).
        kernel: (heads, taps), odd number of taps.

    Returns:
        (n, heads, d)
    """
    result: Tensor = _SequenceConv.apply(values, kernel)
    return result


class _SequenceConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, kernel: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(values, kernel)
        return _correlate(values, kernel.to(values.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        values, kernel = ctx.saved_tensors
        taps = kernel.shape[1]
        d_values = _correlate(grad, kernel.flip(1).to(grad.dtype))
        # Blocks of the gradient against the windows they came from; the diagonals are the taps.
        band = kernel.new_empty(len(kernel), BLOCK, BLOCK + taps - 1)
        blocks = F.pad(grad, (0, 0, 0, 0, 0, -len(grad) % BLOCK)).view(
            -1, BLOCK, *grad.shape[1:]
        )  # (b, BLOCK, heads, d)
        for h, (window, own) in enumerate(zip(_windows(values, taps), band, strict=True)):
            own.copy_(torch.bmm(blocks[:, :, h], window.mT).sum(0, dtype=kernel.dtype))
        return d_values, band.unfold(2, taps, 1).diagonal(dim1=1, dim2=2).sum(-1)  # (heads, taps)


def _correlate(values: Tensor, kernel: Tensor) -> Tensor:
    n, heads, _ = values.shape
    taps = kernel.shape[1]
    band = kernel.new_zeros(heads, BLOCK, BLOCK + taps - 1)
    band.unfold(2, taps, 1).diagonal(dim1=1, dim2=2).copy_(kernel[:, :, None].expand(-1, -1, BLOCK))
    result = values.new_empty(-(-n // BLOCK), BLOCK, *values.shape[1:])  # (b, BLOCK, heads, d)
    for h, (window, own) in enumerate(zip(_windows(values, taps), band, strict=True)):
        result[:, :, h] = torch.bmm(own.expand(len(window), -1, -1), window)
    return result.flatten(0, 1)[:n]


def _windows(values: Tensor, taps: int) -> tuple[Tensor, ...]:
    """Per head overlapping windows (blocks, BLOCK + taps - 1, d): what each block of rows looks at."""
    side = taps // 2
    padded = F.pad(values, (0, 0, 0, 0, side, side - len(values) % -BLOCK))
    return padded.unfold(0, BLOCK + taps - 1, BLOCK).mT.unbind(1)
