"""Refusal of predictions that are no numbers, by the names of their cases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pathfuse.errors import NotFiniteError, listed


def refuse_not_finite(case_ids: Sequence[str], *values: Tensor) -> None:
    """Refuses what a model says of cases where it is NaN or infinite.

    Args:
        case_ids: the N cases.
        values: (N, ...) each.

    Raises:
        NotFiniteError: that names the cases.
    """
    fine = torch.stack([torch.isfinite(value)[:, None].flatten(1).all(1) for value in values]).all(0)  # (N,)
    if not bool(fine.all()):
        broken = [case for case, is_fine in zip(case_ids, fine.tolist(), strict=True) if not is_fine]
        raise NotFiniteError(
            f"the model gives no numbers for {listed(broken)}: its weights or its input are not finite, or too large "
            "for the precision. Check the input with `pathfuse data check`, and try --trainer.precision 32-true."
        )
