"""The slot of explainers: what every place of every modality says for a class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pathfuse.core.bags import Bags
from pathfuse.core.batch import Batch
from pathfuse.core.model import Model
from pathfuse.core.spec import Kind
from pathfuse.errors import PluginError

BARELY = 1e-5
"""Scores that differ by less, relative to the largest, differ by rounding alone."""


class Explainer(ABC):
    """Shows where a model looked. Options of the recipe are keyword-only constructor arguments.

    Attributes:
        takes: the kinds of modality that it gives scores of; a run that reads none of them is refused.
        signed: whether 0 says nothing, scores above it speak for the class and scores below it against it. Otherwise
            only the order of a case's scores means something.
        complete: whether the scores of a case sum, over all modalities, to the logit of the class minus that of
            `baseline`.
        per_class: whether another class gets another map.
        attends: whether it needs a model that says what it attends to. The conformance kit reads it.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("image",)
    signed: ClassVar[bool] = False
    complete: ClassVar[bool] = False
    per_class: ClassVar[bool] = True
    attends: ClassVar[bool] = False

    @abstractmethod
    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores per modality: (B, H, W) of images, (T,) of bags, (B, D) of vectors; 0 where a modality is absent.

        A modality that nothing can be said of is left out. What a case gets does not depend on the others, and the
        model, the batch and all random generators are as before.

        Args:
            model: the model.
            batch: B cases.
            target: (B,) long, the class to explain; None explains the predicted one.

        Raises:
            RecipeError: if the model has not what the method needs.
        """

    def baseline(self, batch: Batch) -> Batch:
        """The cases that scores are measured against, of an explainer that is `complete`."""
        raise NotImplementedError(f"{type(self).__name__} compares with no baseline")


def check_scores(explainer: Explainer, scores: object, batch: Batch) -> None:
    """Whether an explainer returned a score for every place of modalities that the batch has.

    Raises:
        PluginError: naming the explainer, the modality and both shapes.
    """
    name = type(explainer).__name__
    advice = f"`pathfuse plugins check {name}` shows more."
    if not isinstance(scores, Mapping):
        raise PluginError(f"{name} returns a {type(scores).__name__}, and has to return scores by modality. {advice}")
    for modality, values in scores.items():
        if modality not in batch.x:
            raise PluginError(f"{name} returns scores of {modality!r}, and there is {', '.join(batch.x)}. {advice}")
        wanted = scored_size(batch.x[modality])
        found = tuple(values.shape) if isinstance(values, Tensor) else f"a {type(values).__name__}"
        if found != wanted:
            raise PluginError(f"{name} returns scores of {modality!r} of {found}, and has to return {wanted}. {advice}")


def scored_size(value: Tensor | Bags) -> tuple[int, ...]:
    """The shape of an explainer's scores: a place per pixel, patch or column."""
    if isinstance(value, Bags):
        return (len(value.values),)
    return (len(value), *value.shape[2:]) if value.dim() == 4 else tuple(value.shape)


def case_sums(batch: Batch, scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """Per modality, the sum (B,) of the scores of every case.

    Args:
        batch: B cases.
        scores: as an explainer gives them.
    """
    sums = {}
    for name, own in scores.items():
        value = batch.x[name]
        if isinstance(value, Bags):
            sums[name] = own.new_zeros(len(batch)).index_add(0, value.owner, own)
        else:
            sums[name] = own.flatten(1).sum(1)
    return sums


def as_map(scores: Tensor, *, signed: bool) -> Tensor:
    """Scores (B, ...) as maps in [0, 1], each case by itself; one that is flat but for rounding becomes zeros.

    Args:
        scores: one row per case; of a bag, (1, T).
        signed: what speaks against the class becomes 0, and the highest score 1. Otherwise the lowest becomes 0.
    """
    if not scores.numel():
        return scores
    rows = scores.flatten(1)  # (B, N)
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    differs = high - low > BARELY * torch.maximum(high.abs(), low.abs())
    floor = low.clamp(min=0) * 0 if signed else low
    scaled = (rows - floor) / (high - floor).clamp(min=torch.finfo(rows.dtype).tiny)
    return torch.where(differs, scaled.clamp(0, 1), 0.0).view(scores.shape)
