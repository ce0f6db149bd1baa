"""The correlated representation as the input of a classifier."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pathfuse.core import Batch, DataSpec, ImageInput, stage_model
from pathfuse.errors import RecipeError

_FLAT = 1e-6


class CorrelatedRepresentation(ImageInput):
    """What an earlier stage makes of a case, each case scaled to [0, 1].

    The model of that stage is frozen: it keeps its batch statistics and gets no gradient, but gradients pass through
    it, so that class-activation maps can be taken behind or inside it. `tune` trains it on.

    Args:
        checkpoint: the stage that was trained to correlate, for example `stage:correlate`.
        output: `hidden` is the joint map h(Z); `reconstruction` the decoded stains, one after another.
        tune: train the model of the earlier stage with the classifier, from the weights it has.

    Source: Dutta et al. 2025, Methods: h(Z) with d channels goes to the classifier.
    Departs: the released code passes the duplicated reconstruction (`reconstruction`) whatever d is.
    """

    name = "correlated"
    explained_by = "IntegratedGradients"  # found the planted signal better than Grad-CAM, with each of five seeds

    def __init__(
        self,
        spec: DataSpec,
        *,
        checkpoint: str,
        output: Literal["hidden", "reconstruction"] = "hidden",
        tune: bool = False,
    ) -> None:
        super().__init__()
        self.tune = tune
        self.model = stage_model(checkpoint)
        self.output = output
        self.reads = self.model.reads
        absent = [m for m in self.reads if m not in spec.names]
        if absent:
            raise RecipeError(
                f"input.checkpoint: {checkpoint} was trained on {', '.join(self.reads)}, and this data has no column "
                f"{absent[0]}; add the column, its cells may be empty"
            )
        self.channels = self._channels(spec)
        if not tune:
            self.model.requires_grad_(False)
            self.model.eval()

    def train(self, mode: bool = True) -> CorrelatedRepresentation:
        """A frozen model stays in eval mode whatever happens to the classifier around it."""
        super().train(mode)
        if not self.tune:
            self.model.eval()
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The representation (B, C, H, W) in [0, 1], and (B,) bool which cases have any stain."""
        fused = self.model.fuse(batch)
        maps = fused.embedding
        if self.output == "reconstruction":
            maps = torch.cat(list(self.model.head(fused).reconstructions.values()), 1)
        return scale_per_case(maps), torch.stack([batch.present[m] for m in self.reads]).any(0)

    def _channels(self, spec: DataSpec) -> int:
        fused = self.model.fusion.out
        if fused.layout != "map":
            raise RecipeError(
                "input.checkpoint: CorrelatedRepresentation needs a stage whose fusion gives a map, this one gives a "
                f"{fused.layout}; use SEAttention there"
            )
        if self.output == "hidden":
            return fused.dim
        return sum(fused.by_modality[m].source_dim or spec[m].width for m in fused.by_modality)


def scale_per_case(maps: Tensor) -> Tensor:
    """Maps (B, C, H, W) to [0, 1] by each case's own minimum and maximum; a constant map becomes 0."""
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp_min(_FLAT)
