"""The features that a head reads: one vector per case, whatever the fusion block returned."""

from __future__ import annotations

from torch import Tensor

from pathfuse.core import Fused, FusedSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared


def feature_dim(fused: FusedSpec, head: str) -> int:
    """Width D of `case_features`.

    Raises:
        RecipeError: if the fusion block returns one embedding per patch, which no case can be scored from.
    """
    if fused.layout == "packed":
        raise RecipeError(
            f"{head} scores cases, and the fusion block returns patches. Choose a fusion block that pools."
        )
    return fused.dim


def case_features(fused: Fused) -> Tensor:
    """The embedding as (B, D); maps are averaged over their positions, and absent cases are zero.

    Zeros, because a NaN in a row that nobody reads would still reach the weights: 0 * NaN is NaN in the backward pass.
    """
    features = fused.embedding.mean((2, 3)) if fused.embedding.dim() == 4 else fused.embedding  # (B, D)
    return cleared(features, fused.present)  # (B, D)
