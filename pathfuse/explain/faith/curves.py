"""Insertion and deletion: how a class gains and loses probability as places come and go by their scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pathfuse.core import Batch, Model
from pathfuse.explain.faith.ranked import highest_first, shown_only

SHARES = tuple(step / 10 for step in range(11))
"""Shares of the places at which the curves are read."""


@torch.no_grad()
def insertion_and_deletion(
    model: Model, case: Batch, modality: str, scores: Tensor, target: int
) -> tuple[float, float]:
    """The areas under both curves, in [0, 1]; a good map has a high insertion and a low deletion.

    The other stains of the case are shown whole.

    Args:
        model: the model in eval mode.
        case: one case.
        modality: the stain whose places come and go.
        scores: (N,) of its places.
        target: the class.

    Source: Petsiuk et al. 2018, arXiv:1806.07421, section 4.1.
    Departs: hidden pixels are glass instead of grey or blurred; patches leave the bag.
    """
    order, count = highest_first(scores), len(scores)
    kept = []
    for share in SHARES:
        first = torch.zeros(count, dtype=torch.bool, device=scores.device)
        first[order[: round(share * count)]] = True
        kept += [first, ~first]
    said = _probability(model, [shown_only(case, modality, own) for own in kept], target)
    return _area(said[0::2]), _area(said[1::2])


def _probability(model: Model, cases: Sequence[Batch], target: int) -> list[float]:
    logits = model(Batch.cat(list(cases))).logits
    assert logits is not None
    return [float(value) for value in logits.softmax(1)[:, target]]


def _area(values: Sequence[float]) -> float:
    """The area under a curve over shares from 0 to 1, by trapezia."""
    return sum((one + other) / 2 for one, other in pairwise(values)) / (len(values) - 1)
