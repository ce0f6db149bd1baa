"""Matrix products at the speed that the processor allows, and linear layers made of them.

For float32 on a CPU torch asks MKL, which uses half of the vector width on processors of other makers; oneDNN, which
torch brings along as well, does not. Measured on an AMD EPYC: 90 to 110 against 180 to 250 GFLOP/s on one core; on an
Intel Xeon both reach 160 to 180. So oneDNN is asked where MKL is slow, by the maker of the processor and the size of
the product. That is a rule and no measurement at the start: a choice that varies between two runs would change their
last bits, and a resumed run has to give the same bytes. `benchmarks/bench_products.py` says whether the rule is right.
Everywhere else, and where torch no longer offers it, everything here is torch's own public product.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def _onednn() -> Callable[..., Tensor] | None:
    """The linear layer of oneDNN, or None. It is private to torch, so it may go, or take other arguments."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        found: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
        one = torch.ones(1, 1)
        return found if found(one, one, None, "none", [], "").tolist() == [[1.0]] else None
    except (AttributeError, TypeError, RuntimeError, NotImplementedError):
        return None


def _mkl_is_slow(maker: str) -> bool:
    """Whether torch asks MKL on a processor that is not Intel's."""
    offered: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return offered and maker not in ("", "GenuineIntel")


def _maker() -> str:
    """Who made the processor, as it says itself; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor().rpartition(" ")[2]  # Windows: "Intel64 Family 6 Model 143 Stepping 8, GenuineIntel"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


_ONEDNN = _onednn() if _mkl_is_slow(_maker()) else None
SMALLEST = 2**20  # operations; below, what a call of oneDNN costs beyond one of MKL is more than it saves
WIDEST = 4096  # columns of `b`; beyond, oneDNN spends its time on rearranging it


def product(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices a (n, k) and b (k, c), without gradient, in `out` (n, c) if that is given."""
    large = 2 * a.numel() * b.shape[1] >= SMALLEST and b.shape[1] <= WIDEST
    if _ONEDNN is None or not _helps(a, a.dtype) or b.dtype != a.dtype or not large:
        return torch.mm(a, b, out=out)
    # A slice of columns is computed by oneDNN's reference code, a hundred times slower.
    result = _ONEDNN(_dense(a), _dense(b).mT, None, "none", [], "")
    return result if out is None else out.copy_(result)


def _dense(matrix: Tensor) -> Tensor:
    return matrix if matrix.is_contiguous() or matrix.mT.is_contiguous() else matrix.contiguous()


def add_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Adds the product of a (n, k) and b (k, c) to `total` (n, c), which may be more precise; without gradient."""
    if total.dtype == a.dtype and not _helps(a, a.dtype):
        return total.addmm_(a, b)
    return total.add_(product(a, b))


def batched_product(a: Tensor, b: Tensor, *, backward: torch.dtype | None = None) -> Tensor:
    """The products of matrices (heads, n, k) and (heads, k, c), head by head, with gradient, computed in `backward`."""
    backward = backward or a.dtype
    if backward == a.dtype and not _helps(a, a.dtype):
        return a @ b
    result: Tensor = _Products.apply(a, b, backward)
    return result


def working_dtype(values: Tensor) -> torch.dtype:
    """The precision autocast asks for on the device of `values`, else that of `values`."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype


def linear(
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    forward: torch.dtype | None = None,
    backward: torch.dtype | None = None,
) -> Tensor:
    """`values` (T, D) through a linear layer, with gradient.

    Args:
        values: the rows.
        weight: (D', D).
        bias: (D',).
        forward: precision of the result; None is what autocast asks for.
        backward: precision that the gradient is computed in; None is what autocast asks for.
    """
    forward, backward = forward or working_dtype(values), backward or working_dtype(values)
    with torch.autocast(values.device.type, enabled=False):
        if forward == backward and not _helps(values, forward):
            return F.linear(values.to(forward), weight.to(forward), None if bias is None else bias.to(forward))
        result: Tensor = _Linear.apply(values, weight, bias, forward, backward)
        return result


def _helps(values: Tensor, dtype: torch.dtype) -> bool:
    return _ONEDNN is not None and dtype == torch.float32 and values.device.type == "cpu"


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, backward: torch.dtype) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(a.to(backward), b.to(backward))
        return _each(a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        a, b = ctx.saved_tensors
        cheap = grad.to(a.dtype)
        with torch.autocast(grad.device.type, enabled=False):
            return _each(cheap, b.mT).to(grad.dtype), _each(a.mT, cheap).to(grad.dtype), None


def _each(a: Tensor, b: Tensor) -> Tensor:
    if not _helps(a, a.dtype):
        return a @ b
    return torch.stack([product(one, two) for one, two in zip(a, b, strict=True)])


class _Linear(torch.autograd.Function):
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
