"""Tokens of any layout as one vector per case, and the precision that sums and losses need."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.core import Tokens
from pathfuse.nn.packed import at_least_float, readable_token, segment_mean


def cleared(values: Tensor, present: Tensor) -> Tensor:
    """Rows (B, ...) with zeros where they are not present; a product would let a NaN through.

    Args:
        values: one row per case.
        present: (B,) bool.
    """
    return torch.where(present.view(-1, *[1] * (values.dim() - 1)), values, values.new_zeros(()))


def token_vector(token: Tokens) -> Tensor:
    """Any token as one vector (B, D) per case: maps are averaged over positions and bags over patches.

    Zeros where it is absent. The result is in float32 or better, whatever the token is in; whoever has weights takes it
    to their precision.
    """
    if token.lengths is not None:
        bag = readable_token(token)
        return segment_mean(bag.values, bag.lengths)
    values = at_least_float(cleared(token.values, token.present))
    return values if values.dim() == 2 else values.mean((2, 3))  # (B, D)
