"""The panels of figure 2A: each stain, what h(Z) makes of one alone, and the other rebuilt."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.core import Batch
from pathfuse_corranet.passes import Passes, from_stain

_COLOURS = 3


def panels(passes: Passes, batch: Batch, reference: str) -> dict[str, Tensor]:
    """Images (B, 3, H, W) and maps (B, 1, H, W) in the order in which they stand side by side.

    Args:
        passes: with those from every stain alone.
        batch: the cases.
        reference: the stain that comes last, beside which it is rebuilt.
    """
    others = [stain for stain in passes.attended if stain != reference]
    out = {stain: _whole(batch.image(stain), batch.present[stain]) for stain in others}
    for stain in others:
        run = passes.by_name[from_stain(stain)]
        out[f"h(Z) from {stain}"] = _placed(run.hidden.float().mean(1, keepdim=True), run.rows, batch)
        rebuilt = run.views.get(reference)
        if rebuilt is not None and rebuilt.shape[1] == _COLOURS:
            out[f"{reference} from {stain}"] = _placed(rebuilt.float().clamp(0, 1), run.rows, batch)
    out[reference] = _whole(batch.image(reference), batch.present[reference])
    return out


def _whole(images: Tensor, present: Tensor) -> Tensor:
    return torch.where(present.view(-1, 1, 1, 1), images, float("nan"))


def _placed(values: Tensor, rows: Tensor, batch: Batch) -> Tensor:
    whole = values.new_full((len(batch), *values.shape[1:]), float("nan"))
    return whole.index_copy(0, rows, values)
