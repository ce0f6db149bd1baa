"""The floor of a computation: what its matrix products and its bytes take at the rates of this machine, measured.

Products are counted while the computation runs, by precision. Of several variants that compute the same, the one with
the fewest products sets the floor, so that computing a thing twice earns nothing. The rate is that of the best shape,
which narrow products do not reach; so what the products of a variant take in their own shapes is measured as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.measure.machine import bandwidth, now, product_rate

Operations = Counter[torch.dtype]


class Products(TorchDispatchMode):
    """Within the block, floating-point operations of products and convolutions are counted by precision.

    Attributes:
        operations: of each precision.
        seconds: what they took, on a device whose steps end before the next one begins, as a CPU's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: Operations = Counter()
        self.seconds = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = now()
        result = func(*args, **(kwargs or {}))
        seconds = now() - start
        packet = func._overloadpacket
        if packet == torch.ops.aten.addmm_:
            packet = torch.ops.aten.addmm
        if packet == torch.ops.mkldnn._linear_pointwise:
            self.operations[args[0].dtype] += 2 * args[0].numel() * len(args[1])
            self.seconds += seconds
        elif packet in flop_registry:
            self.seconds += seconds
            first = next(each for each in args if isinstance(each, torch.Tensor))
            self.operations[first.dtype] += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        return result


def products(call: Callable[[], object]) -> Products:
    """What one call multiplies."""
    with Products() as counted:
        call()
    return counted


def floors(counted: Mapping[str, Operations], bytes_moved: int = 0) -> dict[str, float]:
    """Seconds below which no variant can be, by name; 0 where nothing is known.

    Args:
        counted: of every variant, operations by precision.
        bytes_moved: what has to be read and written at least.
    """
    least = min((total for each in counted.values() if (total := sum(each.values()))), default=0)
    moving = bytes_moved / bandwidth() if bytes_moved else 0.0
    found = {}
    for name, each in counted.items():
        total = sum(each.values())
        multiplying = sum(count / product_rate(dtype) for dtype, count in each.items())
        found[name] = max(multiplying * least / total if total else 0.0, moving)
    return found
