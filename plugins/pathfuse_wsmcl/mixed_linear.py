"""A linear layer that may be exact forward, because patches are ranked by its result, and cheap backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pathfuse_wsmcl.products import product


def working_dtype(values: Tensor) -> torch.dtype:
    """The precision autocast asks for on the device of `values`, else that of `values`."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype


def mixed_linear(
    values: Tensor, weight: Tensor, bias: Tensor | None, forward: torch.dtype, backward: torch.dtype
) -> Tensor:
    """`values` (T, D) through a linear layer, computed in one precision and differentiated in another."""
    with torch.autocast(values.device.type, enabled=False):
        if forward == backward and (values.device.type != "cpu" or forward != torch.float32):
            return F.linear(values.to(forward), weight.to(forward), None if bias is None else bias.to(forward))
        result: Tensor = _MixedLinear.apply(values, weight, bias, forward, backward)
        return result


class _MixedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        values: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        forward: torch.dtype,
        backward: torch.dtype,
    ) -> Tensor:
        ctx.input_dtype = values.dtype
        ctx.save_for_backward(values.to(backward), weight)
        result = product(values.to(forward), weight.to(forward).mT)
        return result if bias is None else result.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        values, weight = ctx.saved_tensors
        wants_values, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        with torch.autocast(values.device.type, enabled=False):
            cheap = grad.to(values.dtype)
            d_values = product(cheap, weight.to(cheap.dtype)).to(ctx.input_dtype) if wants_values else None
            d_weight = product(values.mT, cheap).mT.to(weight.dtype) if wants_weight else None
        return d_values, d_weight, grad.sum(0).to(weight.dtype) if wants_bias else None, None, None
