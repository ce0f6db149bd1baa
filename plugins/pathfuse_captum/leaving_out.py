"""Attributions by leaving out: squares of images, groups of patches."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from captum.attr import Occlusion as OfCaptum  # type: ignore[import-untyped]
from torch import Tensor

from pathfuse.core import Bags, Batch, Explainer, Model
from pathfuse.core.spec import Kind
from pathfuse.errors import RecipeError
from pathfuse_captum.asking import Asked, ask, class_scores
from pathfuse_captum.baselines import Baseline, baseline_batch

PATCHES = 65_536
"""Patches that are asked about in one pass; more groups go into the next."""


class Occlusion(Explainer):
    """How far the logit falls where a square of the image, or a column of a vector, is covered.

    Args:
        window_px: edge of the square.
        stride_px: its step; a place under several squares gets their mean. A step below the edge is smoother and
            slower.
        baseline: what covers: `glass` white, `mean` the mean colour of the image, `absent` zeros.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 2.2; Captum's Occlusion on the logits.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("image", "vector")
    signed: ClassVar[bool] = True
    example_options: ClassVar[dict[str, object]] = {"window_px": 8, "stride_px": 8}
    example_size_px: ClassVar[int] = 16

    def __init__(self, *, window_px: int = 16, stride_px: int = 16, baseline: Baseline | None = None) -> None:
        if not 1 <= stride_px <= window_px:
            raise RecipeError(f"Occlusion: a step of {stride_px} px leaves gaps between squares of {window_px} px.")
        self.window_px = window_px
        self.stride_px = stride_px
        self.against = baseline

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores of images and vectors."""

        def answer(asked: Asked, classes: Tensor) -> tuple[Tensor, ...]:
            covered = Asked(asked.model, baseline_batch(asked.batch, self.against, "Occlusion"), asked.names).inputs
            windows, steps = zip(*(self._window(value) for value in asked.inputs), strict=True)
            with torch.no_grad():
                found: tuple[Tensor, ...] = OfCaptum(asked).attribute(
                    asked.inputs, windows, strides=steps, baselines=covered, target=classes
                )
            return found

        return ask(type(self).__name__, model, batch, target, answer)

    def _window(self, value: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if value.dim() == 2:
            return (1,), (1,)
        edges = [min(self.window_px, edge) for edge in value.shape[2:]]
        steps = [min(self.stride_px, edge) for edge in edges]
        return (value.shape[1], *edges), (value.shape[1], *steps)


class LeaveOut(Explainer):
    """How far the logit falls where some patches are left out of the bag.

    Patches that follow each other in the bag are left out together, so that a slide takes `groups` passes at most;
    every patch of a group gets what the group is worth.

    Args:
        groups: groups per stain of a case; with as many as there are patches, each is left out alone.
        baseline: `absent` takes the patches out of the bag; `mean` puts the mean patch of the bag in their place.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("patches", "features")
    signed: ClassVar[bool] = True

    def __init__(self, *, groups: int = 64, baseline: Baseline = "absent") -> None:
        if groups < 1 or baseline == "glass":
            raise RecipeError(
                f"LeaveOut: groups is {groups} and baseline {baseline}; 1 is the least, and absent or mean."
            )
        self.groups = groups
        self.against = baseline

    def explain(self, model: Model, batch: Batch, target: Tensor | None = None) -> dict[str, Tensor]:
        """Scores (T,) of the patches of every stain; a vector beside them gets zeros."""

        @torch.no_grad()
        def answer(asked: Asked, classes: Tensor) -> tuple[Tensor, ...]:
            whole = class_scores(asked.model, asked.batch)[0, classes[0]]
            return tuple(self._of(asked, name, int(classes[0]), whole) for name in asked.names)

        found = ask(type(self).__name__, model, batch, target, answer)
        return {name: scores for name, scores in found.items() if isinstance(batch.x[name], Bags)}

    def _of(self, asked: Asked, name: str, target: int, whole: Tensor) -> Tensor:
        """Scores as large as the input of one modality of one case."""
        bags = asked.batch.x[name]
        if not isinstance(bags, Bags):
            return torch.zeros_like(bags)
        count = len(bags.values)
        group = torch.arange(count, device=bags.values.device) * min(self.groups, count) // count  # (T,)
        every = range(int(group[-1]) + 1)
        step = max(1, PATCHES // max(1, sum(len(v.values) for v in asked.batch.x.values() if isinstance(v, Bags))))
        falls = []
        for start in range(0, len(every), step):
            parts = [self._without(asked.batch, name, group == own) for own in every[start : start + step]]
            falls.append(whole - class_scores(asked.model, Batch.cat(parts))[:, target])
        fall = torch.cat(falls)[group]  # (T,)
        spread = fall.new_zeros(bags.values[None].shape)
        spread.view(count, -1)[:, 0] = fall  # summed over features afterwards
        return spread

    def _without(self, batch: Batch, name: str, out: Tensor) -> Batch:
        bags = batch.x[name]
        assert isinstance(bags, Bags)
        if self.against == "mean":
            mean = baseline_batch(batch, "mean", "LeaveOut").x[name]
            assert isinstance(mean, Bags)
            rows = out.view(-1, *[1] * (bags.values.dim() - 1))
            left = replace(bags, values=torch.where(rows, mean.values, bags.values))
        else:
            left = replace(
                bags,
                values=bags.values[~out],
                lengths=(~out).sum()[None],
                slide=None if bags.slide is None else bags.slide[~out],
                coords=None if bags.coords is None else bags.coords[~out],
            )
        return replace(batch, x={**batch.x, name: left})
