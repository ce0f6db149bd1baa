"""Arrays, (N, D), of which any rows can be read without the others: the contract, rows in memory, rearranged rows.

They are plain data until they are read, so they can be sent to a worker process, which opens the file itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Index = npt.NDArray[np.int64]


class Rows(ABC):
    """N rows of D numbers.

    Attributes:
        shape: (N, D).
        dtype: numpy's name of the type as stored, for example `float16`; torch's for `bfloat16`.
    """

    shape: tuple[int, int]
    dtype: str

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, index: Index | None = None) -> Tensor:
        """The rows with these numbers in this order, (k, D), or all, (N, D), in the type as stored.

        Raises:
            StoreError: if the file changed, was cut off or removed since its header was read.
            IndexError: if a row does not exist.
        """
        if index is not None and len(index) and not (0 <= index.min() and index.max() < len(self)):
            raise IndexError(f"rows {index.min()} to {index.max()} of {len(self)}")
        return self._read(index)

    def read_into(self, out: Tensor, index: Index | None = None) -> None:
        """As `read`, into a tensor of the same shape and any type.

        Raises:
            StoreError: as `read`.
        """
        out.copy_(self.read(index))

    @abstractmethod
    def _read(self, index: Index | None) -> Tensor: ...


@dataclass(frozen=True)
class MemoryRows(Rows):
    """Rows that are in memory already: small, or computed."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """(N, D)."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def dtype(self) -> str:  # type: ignore[override]
        """Name of the type."""
        return str(self.values.dtype).removeprefix("torch.")

    def _read(self, index: Index | None) -> Tensor:
        return self.values.clone() if index is None else self.values[torch.from_numpy(index)]


@dataclass(frozen=True)
class Arranged(Rows):
    """Coordinates in another arrangement: columns swapped, multiplied, then shifted."""

    stored: Rows
    columns: tuple[int, int] = (0, 1)
    factor: float = 1.0
    shift: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """(N, 2)."""
        return len(self.stored), 2

    @property
    def dtype(self) -> str:  # type: ignore[override]
        """Name of the type."""
        return self.stored.dtype if (self.factor, self.shift) == (1.0, 0.0) else "float64"

    def _read(self, index: Index | None) -> Tensor:
        values = self.stored.read(index)[:, list(self.columns)]
        return values if self.dtype == self.stored.dtype else values.double() * self.factor + self.shift
