"""Rows of arrays in files, which are opened when they are read."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pathfuse.store.rows.rows import Index, Rows
from pathfuse.store.rows.stamp import Stamp
from pathfuse.store.rows.tensors import torch_type


@dataclass(frozen=True)
class FileRows(Rows):
    """Rows of an array in a file, which is opened when they are read, and not at all where it has no numbers."""

    path: Path
    stamp: Stamp
    shape: tuple[int, int]
    dtype: str

    def _read(self, index: Index | None) -> Tensor:
        if 0 in self.shape:
            return torch.empty(len(self) if index is None else len(index), self.shape[1], dtype=torch_type(self.dtype))
        return self._stored(index)

    @abstractmethod
    def _stored(self, index: Index | None) -> Tensor:
        """Some or all rows, of which there are some."""
