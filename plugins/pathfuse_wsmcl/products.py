"""Matrix products at the speed that the processor allows.

For float32 on a CPU torch asks MKL, which uses half of the vector width on processors of other makers; oneDNN, which
torch brings along as well, does not. Measured on an AMD EPYC: 90 to 110 against 180 to 250 GFLOP/s on one core.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Private to torch, so it may go: then every product is torch's own.
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch._C._has_mkldnn else None
WIDEST = 4096  # columns of `b`; beyond, oneDNN spends its time on rearranging it


def product(a: Tensor, b: Tensor) -> Tensor:
    """The product of matrices a (n, k) and b (k, c), without gradient."""
    if _ONEDNN is None or a.dtype != torch.float32 or a.device.type != "cpu" or not 0 < b.shape[1] <= WIDEST:
        return a @ b
    if len(a) == 0:
        return a @ b
    # A slice of columns is computed by oneDNN's reference code, a hundred times slower.
    dense = b if b.is_contiguous() or b.mT.is_contiguous() else b.contiguous()
    result: Tensor = _ONEDNN(a, dense.mT, None, "none", [], "")
    return result


def products(a: Tensor, b: Tensor) -> Tensor:
    """The products of matrices (heads, n, k) and (heads, k, c), head by head, with gradient."""
    if a.device.type != "cpu" or a.dtype != torch.float32:
        return a @ b
    result: Tensor = _Products.apply(a, b)
    return result


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(a, b)
        return _each(a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        a, b = ctx.saved_tensors
        return _each(grad, b.mT), _each(a.mT, grad)


def _each(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([product(one, two) for one, two in zip(a, b, strict=True)])
