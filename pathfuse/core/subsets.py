"""Combinations of stains: all that a test shows, one that stands for a model, and random ones in training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch

from pathfuse.core.batch import Batch


def availability_subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every non-empty combination, small ones first: he, ihc, he+ihc."""
    return [subset for size in range(1, len(modalities) + 1) for subset in combinations(modalities, size)]


def subset_name(modalities: Sequence[str]) -> str:
    """The name of a combination in `metrics.json` and `predictions.csv`."""
    return "+".join(modalities)


def as_trained(subsets: Iterable[str], given: Sequence[str] | None = None) -> str:
    """The subset with most modalities among those that the model was trained to be given.

    A model that learned from H&E alone is tested with every other combination too, but what it says then is no
    prediction that anybody trained.

    Args:
        subsets: names such as `he` or `he+ihc`, at least one.
        given: the modalities that the model was given in training; None where it was given all.
    """
    names = list(subsets)
    trained = [name for name in names if given is None or set(name.split("+")) <= set(given)]
    return max(trained or names, key=lambda name: name.count("+"))


def drop_at_random(batch: Batch, probability: Mapping[str, float]) -> Batch:
    """Hides stains from cases at random, with torch's generator; a case never loses its last stain."""
    shown = {}
    for modality, real in batch.present.items():
        # Drawn on the CPU, so that a run is the same on every device.
        hide = torch.rand(len(batch)) < probability.get(modality, 0.0)
        shown[modality] = real & ~hide.to(real.device)
    empty = ~torch.stack(list(shown.values())).any(0)
    return replace(batch, present={m: torch.where(empty, batch.present[m], row) for m, row in shown.items()})
