"""Shares of the stains in a prediction, and the limit below which a stain is hardly used."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.core import Batch, Explainer, Model, case_sums

HARDLY = 0.1
"""Share of a case's worth below which a stain is said to be hardly used."""


def stain_shares(model: Model, batch: Batch, target: Tensor, shapley: Explainer) -> tuple[list[dict[str, float]], ...]:
    """Per case, the value of every stain that it has, and its share of the sum of their sizes.

    Args:
        model: the model.
        batch: B cases.
        target: (B,) the class.
        shapley: an explainer whose scores of a stain sum to its value.
    """
    sums = case_sums(batch, shapley.explain(model, batch, target))
    values: list[dict[str, float]] = []
    shares: list[dict[str, float]] = []
    for row in range(len(batch)):
        own = {name: float(total[row]) for name, total in sums.items() if bool(batch.present[name][row])}
        size = sum(abs(value) for value in own.values())
        values.append(own)
        shares.append({name: abs(value) / size if size else 0.0 for name, value in own.items()})
    return values, shares


def hardly_used(shares: dict[str, float]) -> list[str]:
    """The stains of a case whose share is under the limit; of a case with one stain none is."""
    return [name for name, share in shares.items() if share < HARDLY and len(shares) > 1]


def mean_shares(shares: list[dict[str, float]]) -> dict[str, float]:
    """The mean share of every stain, over the cases that have it beside another."""
    several = [own for own in shares if len(own) > 1]
    names = dict.fromkeys(name for own in several for name in own)
    return {name: float(torch.tensor([own[name] for own in several if name in own]).mean()) for name in names}
