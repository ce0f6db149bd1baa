"""Watched weights of pooled bags: what a fusion block gave every patch, with its gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from pathfuse.core import AttentionStep

Steps = dict[str, list[AttentionStep]]


@contextmanager
def watched_weights(passed: nn.ModuleDict) -> Iterator[Steps]:
    """Within the block, the weights that pass through some modules are kept as attention, a row per branch.

    Args:
        passed: per modality, a module such as `nn.Identity` that returns the weights (T', K) of the patches of a batch
            of one case.
    """
    steps: Steps = {name: [] for name in passed}

    def keep(name: str, weight: Tensor) -> Tensor:
        rows = weight.T[None, :, None]  # (1, K, 1, T')
        steps[name].append(AttentionStep((rows,), weight.new_ones(1), lambda row: row[0]))
        return rows[0, :, 0].T  # what goes on comes from what is kept, so that this has a gradient

    handles = [
        module.register_forward_hook(lambda _module, _inputs, weight, name=name: keep(name, weight))
        for name, module in passed.items()
    ]
    try:
        yield steps
    finally:
        for handle in handles:
            handle.remove()
