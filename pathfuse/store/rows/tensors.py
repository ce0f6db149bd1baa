"""Tensors of stored rows: from numpy's types, in memory to be filled, and in the type of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pathfuse.errors import StoreError

PLAIN = {np.float16, np.float32, np.float64, np.uint8, np.int8, np.int16, np.int32, np.int64}
_WIDE = {np.uint16, np.uint32, np.uint64}


def to_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A tensor of a numeric array in any byte order; wide unsigned integers become int64."""
    kind = array.dtype.type
    target = array.dtype.newbyteorder("=") if kind in PLAIN else np.dtype(np.int64 if kind in _WIDE else np.float64)
    # What h5py read is ours already; what is mapped is the file.
    own = np.array if isinstance(array, np.memmap) else np.asarray
    return torch.from_numpy(own(array, dtype=target, order="C"))


def torch_type(dtype: str) -> torch.dtype:
    """The type of the tensor of a stored type, by numpy's name."""
    return to_tensor(np.empty(0, np.dtype(dtype))).dtype


def allocate(shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """A tensor to be filled. Numpy asks the kernel for large pages, which makes filling it four times as fast."""
    if dtype == torch.bfloat16:
        return torch.from_numpy(np.empty(shape, np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.empty(shape, str(dtype).removeprefix("torch.")))


def fitting(features: Tensor, dtype: torch.dtype, path: Path) -> Tensor:
    """Rows in the type that they are to be written in, on the CPU.

    Args:
        features: (N, D).
        dtype: of the file.
        path: the file, for the message.

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
