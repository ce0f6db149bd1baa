"""The paper's mean correlation between the representation and the IHC image (figure 2B), case by case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from pathfuse.core import Batch
from pathfuse_corranet.correlation import pearson
from pathfuse_corranet.passes import JOINT, Pass, Passes, from_stain

_LUMA = (0.299, 0.587, 0.114)


@torch.no_grad()
def mean_correlation(
    passes: Passes,
    batch: Batch,
    sources: Mapping[str, Tensor],
    *,
    output: Literal["hidden", "reconstruction"],
    reference: str | None,
) -> dict[str, Tensor]:
    """`mean_correlation` of the joint pass, and `mean_correlation_from_<stain>` without the reference stain.

    Pearson (B,) of each case over all pixels; NaN for a case without the reference stain or without what the pass
    starts from.

    Source: Dutta et al. 2025, figure 2B, where neither the channel nor the axis is defined.
    """
    stain = reference_stain(sources, reference)
    out = {}
    for name, run in passes.by_name.items():
        if stain not in sources or name == from_stain(stain):
            continue
        known = batch.present[stain][run.rows]  # (R,)
        values = compared(run, batch, sources, stain, output, known.nonzero().squeeze(1), run.rows[known])
        out["mean_correlation" if name == JOINT else f"mean_correlation_{name}"] = spread(
            values, run.rows[known], batch
        )
    return out


def spread(values: Tensor, rows: Tensor, batch: Batch) -> Tensor:
    """Values (R,) of some rows of a batch as (B,), NaN for the others."""
    return torch.full((len(batch),), float("nan"), dtype=torch.float64, device=values.device).index_copy(
        0, rows.to(values.device), values.double()
    )


def averages(by_case: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The means over the cases that have a value, in single precision; nothing where none has."""
    return {name: values.nanmean().float() for name, values in by_case.items() if not bool(values.isnan().all())}


def reference_stain(sources: Mapping[str, Tensor], reference: str | None) -> str:
    """The stain that maps are compared with: the one that is named, else `ihc`, else the last."""
    return reference or ("ihc" if "ihc" in sources else list(sources)[-1])


def compared(
    run: Pass,
    batch: Batch,
    sources: Mapping[str, Tensor],
    stain: str,
    output: Literal["hidden", "reconstruction"],
    rows: Tensor,
    cases: Tensor,
) -> Tensor:
    """Pearson (R,) of what a pass made of its rows with a stain of these cases of the batch."""
    if output == "hidden":
        maps = run.hidden.float().mean(1, keepdim=True)[rows]  # (R, 1, H, W)
        target = grey(batch.image(stain)[cases])
    else:
        maps, target = run.views[stain].float()[rows], sources[stain][cases]
    return pearson(maps.double(), target.double(), dims=(1, 2, 3))


def grey(images: Tensor) -> Tensor:
    """Luma (N, 1, H, W) of colour images; the channel mean of any others."""
    if images.shape[1] != len(_LUMA):
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)
