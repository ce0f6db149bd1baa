"""Combinations of stains: all that a test shows, one that stands for a model, and random ones in training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch

from pathfuse.core.batch import Batch


def availability_subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty combination, small ones first: he, ihc, he+ihc."""
    return [subset for size in range(1, len(modalities) + 1) for subset in combinations(modalities, size)]


def subset_name(modalities: Sequence[str]) -> str:
    """The name of a combination in `metrics.json` and `predictions.csv`."""
    return "+".join(modalities)


@dataclass(frozen=True)
class Shown:
    """What a model was given in training, and so which combinations of modalities it can be asked from.

    A model that learned from H&E alone is tested with every other combination too, but what it says then is no
    prediction that anybody trained.

    Attributes:
        given: the modalities that it was given; None where it was given all, or nobody says.
        combinations: those of them that training cases had together; None where nobody says.
    """

    given: tuple[str, ...] | None = None
    combinations: tuple[str, ...] | None = None

    def trained(self, subsets: Iterable[str]) -> list[str]:
        """Those of the subsets that the model was trained to be given; all of them where there is none of these.

        Args:
            subsets: names such as `he` or `he+ihc`.
        """
        names = list(subsets)
        return [name for name in names if self.knows(name)] or names

    def knows(self, subset: str) -> bool:
        """Whether the model was trained to be given a subset; yes where nothing is known."""
        named = subset.split("+")
        if self.combinations is not None:
            return set(named) in [set(one.split("+")) for one in self.combinations]
        return self.given is None or set(named) <= set(self.given)

    def fullest(self, subsets: Iterable[str]) -> str:
        """The subset with most modalities among those that the model was trained to be given.

        Args:
            subsets: at least one name.
        """
        return max(self.trained(subsets), key=lambda name: name.count("+"))


def combinations_shown(
    presence: Mapping[str, Sequence[bool]], given: Sequence[str], dropout: Mapping[str, float]
) -> list[str]:
    """The combinations of modalities that a model sees in training, small ones first.

    Args:
        presence: per modality, which training cases have it.
        given: the modalities that the model reads and is given, in its order.
        dropout: probability, by modality, that it is hidden from a training case.
    """
    seen: set[frozenset[str]] = set()
    for row in set(zip(*(presence[name] for name in given), strict=True)):
        whole = frozenset(name for name, there in zip(given, row, strict=True) if there)
        always = {name for name in whole if dropout.get(name, 0.0) >= 1}
        perhaps = [name for name in whole - always if dropout.get(name, 0.0) > 0]
        for size in range(len(perhaps) + 1):
            # A case never loses its last modality: where all are hidden, none is.
            seen |= {whole - always - set(hidden) or whole for hidden in combinations(perhaps, size)}
    return [subset_name(own) for own in availability_subsets(given) if frozenset(own) in seen]


def drop_at_random(batch: Batch, probability: Mapping[str, float]) -> Batch:
    """Hides stains from cases at random, with torch's generator; a case never loses its last stain."""
    shown = {}
    for modality, real in batch.present.items():
        # Drawn on the CPU, so that a run is the same on every device.
        hide = torch.rand(len(batch)) < probability.get(modality, 0.0)
        shown[modality] = real & ~hide.to(real.device)
    empty = ~torch.stack(list(shown.values())).any(0)
    return replace(batch, present={m: torch.where(empty, batch.present[m], row) for m, row in shown.items()})
