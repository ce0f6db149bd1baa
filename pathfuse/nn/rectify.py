"""A linear layer with ReLU, block by block of its rows, so that nothing but the result is as long as a bag."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pathfuse.nn.packed import BLOCK, FEW
from pathfuse.nn.products import add_product, linear, product, working_dtype


def rectified(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(W h + b) of every row, with gradient; gradients of gradients are not offered.

    Args:
        values: (T, D) rows in any precision.
        weight: (D', D).
        bias: (D',).

    Returns:
        (T, D') in the precision of the weight, or in the one that autocast asks for.
    """
    if values.device.type != "cpu" or len(values) <= FEW:
        return torch.relu(linear(values.to(weight.dtype), weight, bias))
    dtype = working_dtype(weight)
    with torch.autocast("cpu", enabled=False):
        result: Tensor = _Rectified.apply(values, weight, bias, dtype)
    return result


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ANN401
        result = values.new_empty(len(values), len(weight), dtype=dtype)
        turned, bias = weight.to(dtype).mT, bias.to(dtype)
        for out, rows in zip(torch.split(result, BLOCK), torch.split(values, BLOCK), strict=True):
            torch.add(product(rows.to(dtype), turned), bias, out=out).relu_()
        ctx.save_for_backward(values, weight, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:  # noqa: ANN401
        values, weight, result = ctx.saved_tensors
        exact = torch.promote_types(weight.dtype, torch.float32)
        d_weight: Tensor | None = None  # the first block makes it: zeros of its size would cost a small bag a tenth
        d_bias = weight.new_zeros(len(weight), dtype=exact)
        d_values = torch.empty_like(values) if ctx.needs_input_grad[0] else None
        with torch.autocast("cpu", enabled=False):
            cheap = weight.to(result.dtype)
            for start in range(0, len(values), BLOCK):
                rows = slice(start, start + BLOCK)
                own = torch.ops.aten.threshold_backward(grad[rows], result[rows], 0)  # (r, D')
                block = values[rows].to(own.dtype)
                d_weight = (
                    product(own.mT, block).to(exact) if d_weight is None else add_product(d_weight, own.mT, block)
                )
                d_bias.add_(own.sum(0))
                if d_values is not None:
                    d_values[rows] = product(own, cheap)
        d_weight = torch.zeros_like(weight) if d_weight is None else d_weight.to(weight.dtype)
        return d_values, d_weight, d_bias.to(weight.dtype), None
