"""Map between stains: the mean of one, predicted from another; a lesson that needs pairs, and no label."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from pathfuse.core import (
    Bags,
    Batch,
    DataSpec,
    Encoder,
    Fused,
    FusedSpec,
    Head,
    Prediction,
    Tokens,
    TokenSpec,
    stage_model,
)
from pathfuse.errors import RecipeError
from pathfuse.nn import at_least_float, check_counts, cleared, readable, segment_mean
from pathfuse_teach.ridge import Sums


class StainMapHead(Head):
    """Predicts a stain's summary from what the model saw of another, through a few components.

    The summary is the mean and the deviation of the patches of a bag of features, the mean colour of an image, or a
    vector as it is. The components are the leading ones of the standardised summary, each predicted by ridge
    regression. Both are solved for, not descended to, from all cases of an epoch: whatever the optimiser did to the
    weights is replaced before each validation and in each checkpoint, and one epoch is enough. On several processes
    it is the share of the first that counts.

    The only loss term is `map`: the mean squared error of the standardised summary, over cases that have both stains. 1
    is what the mean of all cases would reach. It classifies nothing, and learns from no label.

    Args:
        fused: size of the joint embedding.
        spec: sizes of the data.
        target: the stain that is predicted. The model must not read it: let the encoder read the others alone.
        components: how many are predicted; all that the summary has, if it has fewer.

    Source: principal-component regression with several responses; ridge chosen by generalised cross-validation, Golub
        et al. 1979, Technometrics 21:215. As a use of paired IHC ours.
    """

    needs_labels = False

    def __init__(self, fused: FusedSpec, spec: DataSpec, *, target: str = "ihc", components: int = 5) -> None:
        super().__init__()
        check_counts("StainMapHead", {"components": components})
        if fused.layout != "vector":
            raise RecipeError("StainMapHead maps vectors, and the fusion block returns a map. Choose one that pools.")
        goal = _summary_width(spec, target)
        self.target = target
        self.width = components = min(components, goal)
        self.encode = nn.Linear(fused.dim, components)
        self.decode = nn.Linear(components, goal, bias=False)
        self.centre: Tensor
        self.spread: Tensor
        self.scale: Tensor
        self.register_buffer("centre", torch.zeros(goal))
        self.register_buffer("spread", torch.ones(goal))
        self.register_buffer("scale", torch.ones(()))
        self._sums, self._solved = Sums(), True

    def code(self, fused: Fused) -> Tensor:
        """The components (B, K) that stand for the other stain, zeros for an absent case."""
        embedding = cleared(fused.embedding, fused.present)
        found: Tensor = self.encode(embedding.to(self.encode.weight.dtype))
        return cleared(found, fused.present)

    def forward(self, fused: Fused) -> Prediction:
        """The predicted summary (B, E) of the target, standardised, as `extra["map"]`."""
        source = at_least_float(cleared(fused.embedding, fused.present))
        return Prediction(fused.present, extra={"map": self.decode(self.code(fused)), "source": source})

    def loss(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """The term `map`; 0 in a batch without a case that has both."""
        summary, there = _summary(batch, self.target)
        both = there & prediction.present
        if self.training and torch.is_grad_enabled() and bool(both.any()):
            if self._solved:
                self._sums, self._solved = Sums(), False
            self._sums.add(prediction.extra["source"][both], summary[both])
        goal = (summary - self.centre) / self.spread
        apart = (at_least_float(prediction.extra["map"]) - goal).square().mean(1)  # (B,)
        return {"map": torch.where(both, apart, torch.zeros_like(apart)).sum() / both.sum().clamp(min=1)}

    def train(self, mode: bool = True) -> Self:
        """Solves for the weights when training ends."""
        if not mode:
            self._solve()
        return super().train(mode)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - torch's own signature
        self._solve()
        super()._save_to_state_dict(*args, **kwargs)

    @torch.no_grad()
    def _solve(self) -> None:
        if self._solved or self._sums.count < 2:
            return
        found = self._sums.solve(self.encode.in_features, self.width)
        self.encode.weight.copy_(found.weight)
        self.encode.bias.copy_(found.bias)
        self.decode.weight.copy_(found.components)
        for buffer, value in ((self.centre, found.centre), (self.spread, found.spread), (self.scale, found.scale)):
            buffer.copy_(value)
        self._solved = True


def _summary_width(spec: DataSpec, target: str) -> int:
    known = {modality.name: modality for modality in spec.modalities}
    if target not in known or known[target].kind == "patches":
        has = ", ".join(name for name, modality in known.items() if modality.kind != "patches") or "none"
        raise RecipeError(f"StainMapHead.target is {target!r}; it predicts images, vectors or bags of features: {has}.")
    return known[target].width * (2 if known[target].kind == "features" else 1)


@torch.no_grad()
def _summary(batch: Batch, target: str) -> tuple[Tensor, Tensor]:
    """The summary (B, D) of a modality, and (B,) bool which cases have it."""
    value = batch.x[target]
    if isinstance(value, Bags):
        bags, there = batch.bags(target)
        bag = readable(bags.values, bags.lengths, there)
        mean = at_least_float(segment_mean(bag.values, bag.lengths))
        square = segment_mean(at_least_float(bag.values).square(), bag.lengths)
        return torch.cat([mean, (square - mean.square()).clamp_min(0).sqrt()], 1), there
    there = batch.present[target]
    flat = value.mean((2, 3)) if value.dim() == 4 else value
    return at_least_float(cleared(flat, there)), there


class MappedStain(Encoder):
    """What an earlier stage predicts of a stain from another, frozen, as one vector per case.

    Args:
        spec: sizes of the data.
        checkpoint: the stage that learned the map, with a `StainMapHead`, for example `stage:map`.

    Source: as StainMapHead.
    """

    def __init__(self, spec: DataSpec, *, checkpoint: str) -> None:
        super().__init__()
        self.model = stage_model(checkpoint)
        head = self.model.head
        if not isinstance(head, StainMapHead):
            raise RecipeError(
                f"model.encoder.checkpoint: {checkpoint} has the head {type(head).__name__}, and MappedStain hands on "
                "what a StainMapHead predicts."
            )
        absent = [modality for modality in self.model.reads if modality not in spec.names]
        if absent:
            raise RecipeError(f"model.encoder.checkpoint: {checkpoint} reads {absent[0]}, which this data lacks.")
        self.reads = self.model.reads
        self.name = f"{head.target}_from_{'_'.join(self.reads)}"
        self.out = {self.name: TokenSpec(head.width, "vector")}
        self.model.requires_grad_(False)
        self.model.eval()

    def train(self, mode: bool = True) -> Self:
        """The frozen stage stays in eval mode."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A vector token (B, K)."""
        fused = self.model.fuse(batch)
        head = self.model.head
        assert isinstance(head, StainMapHead)
        return {self.name: Tokens(head.code(fused) / head.scale, fused.present)}
