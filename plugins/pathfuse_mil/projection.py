"""The layer between features and pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pathfuse.nn import ROWS, rectified


class Projection(nn.Module):
    """Makes features narrower: linear, ReLU, dropout. On small cohorts a wide pooled vector is learned by heart.

    Args:
        in_dim: width of the features.
        dim: width of the result; None leaves the features as they are.
        dropout: part of the result that is dropped in training.
    """

    def __init__(self, in_dim: int, dim: int | None, dropout: float) -> None:
        super().__init__()
        self.out_dim = dim or in_dim
        self.linear = nn.Linear(in_dim, dim) if dim else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Features (T, D) to (T, D'); without gradients only a piece is held in working precision at a time."""
        if self.linear is None:
            return self.dropout(values) if self.training and self.dropout.p else values
        if torch.is_grad_enabled() or values.device.type == "cpu" or len(values) <= ROWS:
            return self._project(values)
        return self._in_pieces(values)

    def _in_pieces(self, values: Tensor) -> Tensor:
        assert self.linear is not None
        result = values.new_empty(len(values), self.out_dim, dtype=self.linear.weight.dtype)  # (T, D')
        for out, rows in zip(torch.split(result, ROWS), torch.split(values, ROWS), strict=True):
            out.copy_(self._project(rows))
        return result

    def _project(self, values: Tensor) -> Tensor:
        assert self.linear is not None
        result: Tensor = self.dropout(rectified(values, self.linear.weight, self.linear.bias))
        return result
