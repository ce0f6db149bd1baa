"""Values that fit the type they are written in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pathfuse.errors import StoreError


def fitting(features: Tensor, dtype: torch.dtype, path: Path) -> Tensor:
    """The features in another type on the CPU.

    Raises:
        StoreError: if a finite value overflows there.
    """
    values = features.detach().cpu().to(dtype).contiguous()
    if dtype == torch.float16 and features.dtype != torch.float16:
        lost = torch.isinf(values) & torch.isfinite(features.detach().cpu())
        if bool(lost.any()):
            raise StoreError(
                f"{path}: {int(lost.sum())} values are above 65504 and overflow float16. Write float32 instead."
            )
    return values
