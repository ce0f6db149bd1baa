"""Attention of timm's transformers, read as they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from pathfuse.core import AttentionStep


@contextmanager
def watched_layers(
    net: nn.Module, token: int | None, prefix: int, to_places: Callable[[Tensor], Tensor]
) -> Iterator[list[AttentionStep]]:
    """Within the block every attention between all tokens is written out and kept.

    timm's layers multiply by a fused kernel that never makes the matrix; `fused_attn` switches it off for the block.
    The matrix passes through `attn_drop`, where timm's own `AttentionExtract` reads it too.

    Args:
        net: the network.
        token: the class token that the output is read from; None where patches are averaged.
        prefix: tokens in front of the patches.
        to_places: takes a row over all tokens (N, n) to its patches (N, h, w).
    """
    steps: list[AttentionStep] = []
    layers = [
        m for m in net.modules() if hasattr(m, "fused_attn") and isinstance(getattr(m, "attn_drop", None), nn.Module)
    ]
    fused = [layer.fused_attn for layer in layers]

    def keep(_: nn.Module, __: tuple[Tensor, ...], weight: Tensor) -> None:
        tokens = weight.shape[-1]
        if weight.dim() != 4 or weight.shape[-2] != tokens:
            return
        read = weight.new_zeros(tokens)
        if token is None:
            read[prefix:] = 1 / max(1, tokens - prefix)
        else:
            read[token] = 1
        steps.append(AttentionStep((weight,), read, to_places))

    handles = [layer.get_submodule("attn_drop").register_forward_hook(keep) for layer in layers]
    try:
        for layer in layers:
            layer.fused_attn = False  # type: ignore[assignment]
        yield steps
    finally:
        for layer, own in zip(layers, fused, strict=True):
            layer.fused_attn = own
        for handle in handles:
            handle.remove()


def of_windows(net: nn.Module) -> bool:
    """Whether its tokens attend to those of a window alone, as in Swin."""
    return any(hasattr(module, "window_size") for module in net.modules())
