"""Learning rates that differ by depth and in the first epochs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from pathfuse.core import Backbone

Group = dict[str, Any]
SCALE = "lr_scale"


def decayed_groups(module: nn.Module, decay: float) -> list[Group]:
    """The trainable parameters in groups, each with the factor of its learning rate.

    Whatever lies after a backbone, such as the head, has factor 1; the last layers of a backbone have `decay`, the
    ones before `decay` squared, and so on towards the images.

    Args:
        module: what is trained; every `Backbone` in it is decayed on its own.
        decay: factor from one group of layers to the one before.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    taken: set[int] = set()
    for backbone in (part for part in module.modules() if isinstance(part, Backbone)):
        layers = backbone.layer_groups()
        for depth, layer in enumerate(reversed(layers), start=1):
            groups.setdefault(decay**depth, []).extend(_new(layer, taken))
    groups.setdefault(1.0, []).extend(_new(module.parameters(), taken))
    return [{"params": group, SCALE: scale} for scale, group in sorted(groups.items(), reverse=True) if group]


def _new(parameters: Iterable[nn.Parameter], taken: set[int]) -> list[nn.Parameter]:
    found = [p for p in parameters if p.requires_grad and id(p) not in taken]
    taken |= {id(p) for p in found}
    return found


def apply_scales(groups: Iterable[Group]) -> None:
    """Multiplies the learning rate that an optimiser was made with by the factor of each group."""
    for group in groups:
        group["lr"] *= group.get(SCALE, 1.0)


@contextmanager
def multiplied(groups: list[Group], factor: float) -> Iterator[None]:
    """Within the block every learning rate is multiplied; schedules see nothing of it."""
    before = [group["lr"] for group in groups]
    try:
        for group in groups:
            group["lr"] = group["lr"] * factor
        yield
    finally:
        for group, rate in zip(groups, before, strict=True):
            group["lr"] = rate
