"""Exact Shapley values of the stains of a case, by presence."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import factorial
from typing import ClassVar

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch, Explainer, Model
from pathfuse.core.spec import Kind
from pathfuse.errors import RecipeError
from pathfuse_captum.asking import class_scores, nothing, predicted, prepared, where_present

MOST = 10
"""Modalities of a case; twice as many combinations with each."""


class StainShapley(Explainer):
    """The mean, over all orders in which the stains could have come, of how much a stain adds to the logit.

    A stain is left out by saying that it is absent, as a model of stains is made to be told. The values of a case sum
    to its logit minus the logit of a case without any stain. A stain has one value, and no place in it more than
    another: it is spread evenly over its pixels, patches or columns, so that they sum to it.

    Source: Shapley 1953, "A value for n-person games", by its definition over all subsets.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("image", "patches", "features", "vector")
    signed: ClassVar[bool] = True
    complete: ClassVar[bool] = True

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Per modality its value, spread evenly."""
        with prepared(model, batch) as own:
            classes = predicted(model, own, type(self).__name__) if target is None else target.detach().clone()
            worth = self.values(model, own, classes)
            return {name: where_present(own, name, _spread(own, name, value)) for name, value in worth.items()}

    def baseline(self, batch: Batch) -> Batch:
        """The cases without any stain."""
        return batch.keep()

    @torch.no_grad()
    def values(self, model: Model, batch: Batch, target: Tensor) -> dict[str, Tensor]:
        """Per modality, the value (B,) of every case; 0 where it is absent.

        Args:
            model: in eval mode.
            batch: B cases.
            target: (B,) the class.
        """
        names = model.reads
        if len(names) > MOST:
            raise RecipeError(f"StainShapley: {len(names)} modalities have too many combinations; {MOST} are the most.")
        said: dict[frozenset[str], Tensor] = {}
        for size in range(len(names) + 1):
            for some in combinations(names, size):
                logits = class_scores(model, _settled(batch.keep(*some)), type(self).__name__)
                said[frozenset(some)] = logits.gather(1, target[:, None])[:, 0]  # (B,)
        return {name: _value(name, names, said) for name in names}


def _settled(batch: Batch) -> Batch:
    """A batch whose bags are empty where they are absent, as data modules make them."""
    x: dict[str, Tensor | Bags] = {}
    for name, value in batch.x.items():
        if isinstance(value, Bags):
            lost = ~batch.present[name]
            kept = ~lost[value.owner]
            value = replace(
                value,
                values=value.values[kept],
                lengths=torch.where(lost, 0, value.lengths),
                slide=None if value.slide is None else value.slide[kept],
                coords=None if value.coords is None else value.coords[kept],
            )
        x[name] = value
    return replace(batch, x=x)


def _value(name: str, names: tuple[str, ...], said: dict[frozenset[str], Tensor]) -> Tensor:
    others = [other for other in names if other != name]
    total = torch.zeros_like(said[frozenset()])
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(names) - size - 1) / factorial(len(names))
        for some in combinations(others, size):
            total = total + weight * (said[frozenset((*some, name))] - said[frozenset(some)])
    return total


def _spread(batch: Batch, name: str, value: Tensor) -> Tensor:
    places, held = nothing(batch, name), batch.x[name]
    if isinstance(held, Bags):
        return (value / held.lengths.clamp(min=1))[held.owner].to(places.dtype)
    count = max(1, places[0].numel()) if len(places) else 1
    return places + (value / count).view(-1, *[1] * (places.dim() - 1)).to(places.dtype)
