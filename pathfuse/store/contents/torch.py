"""The contents of a torch file. It is mapped, never unpickled: whatever is not plain tensors is refused."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.nn.saved import refuse_more_than_it_holds
from pathfuse.store.contents.contents import Contents, Found, check_size, rows_shape
from pathfuse.store.handles import Handles
from pathfuse.store.rows.rows import Index, MemoryRows, Rows
from pathfuse.store.rows.stamp import Stamp, refuse_changed, unreadable

DAMAGE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError,
    OverflowError, MemoryError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class TorchRows(Rows):
    """Rows of a tensor, or of a list of rows, inside a torch file."""

    path: Path
    stamp: Stamp
    shape: tuple[int, int]
    dtype: str
    key: str

    def _read(self, index: Index | None) -> Tensor:
        refuse_changed(self.path, self.stamp)
        held = TORCH.get(str(self.path), self.stamp)
        value = held[self.key] if isinstance(held, dict) else held
        if isinstance(value, list):
            chosen = value if index is None else [value[row] for row in index.tolist()]
            return torch.stack(chosen).detach() if chosen else value[0].new_empty(0, self.shape[1])
        assert isinstance(value, Tensor)
        value = value.detach().reshape(self.shape)
        return value.clone() if index is None else value.index_select(0, torch.from_numpy(index))


def read_torch(path: Path) -> Contents:
    """The tensors of a torch file.

    Raises:
        StoreError: if it is damaged, or holds anything but tensors.
    """
    try:
        stamp = Stamp.of(path)
    except OSError as error:
        raise unreadable(path, error) from error
    held = TORCH.get(str(path), stamp)
    listed = isinstance(held, list)
    if isinstance(held, Tensor) or listed:
        held = {"": held}
    if not isinstance(held, dict):
        raise StoreError(f"{path} holds a {type(held).__name__} and no tensor. Save the features as one tensor.")
    arrays: dict[str, Found] = {}
    ignored: dict[str, str] = {}
    for name, value in held.items():
        found = _found(path, stamp, str(name), value)
        if isinstance(found, str):
            ignored[str(name)] = found
        else:
            arrays[str(name)] = found
    if not arrays:
        why = next(iter(ignored.values()), "it is empty")
        raise StoreError(f"{path} has no tensor with a row per patch: {why}. Save the features as one tensor.")
    return Contents(path, "torch", arrays, ignored=ignored, listed=listed)


def _found(path: Path, stamp: Stamp, name: str, value: object) -> Found | str:
    if isinstance(value, list):
        return _list_found(path, stamp, name, value)
    if not _plain(value):
        return f"{name or 'it'} is no plain tensor of numbers but {type(value).__name__}"
    assert isinstance(value, Tensor)
    # A tensor of one number can claim any size through strides of 0.
    check_size(path, name, value.numel() * value.element_size(), value.untyped_storage().nbytes())
    shape = rows_shape(tuple(value.shape))
    rows: Rows | None = None
    if shape is not None:
        rows = TorchRows(path, stamp, shape, _name(value), name) if 0 not in shape else _empty(value, shape)
    return Found(tuple(value.shape), rows, dtype=_name(value))


def _list_found(path: Path, stamp: Stamp, name: str, value: list[object]) -> Found | str:
    if not value:
        return Found((0,), MemoryRows(torch.empty(0, 0)), dtype="float32")
    first = value[0]
    for row in value:
        if not (_plain(row) and isinstance(row, Tensor) and isinstance(first, Tensor)):
            return f"a list that holds a {type(row).__name__}"
        if row.dim() != 1 or row.shape != first.shape or row.dtype != first.dtype:
            return "a list whose tensors are not all vectors of one length and type"
    assert isinstance(first, Tensor)
    if not len(first):
        return "a list of vectors without a number"
    stored = sum({row.untyped_storage().data_ptr(): row.untyped_storage().nbytes() for row in value}.values())  # type: ignore[attr-defined]
    check_size(path, name, len(value) * first.numel() * first.element_size(), stored)
    shape = (len(value), first.shape[0])
    return Found(shape, TorchRows(path, stamp, shape, _name(first), name), dtype=_name(first), contiguous=False)


def _plain(value: object) -> bool:
    if type(value) is not Tensor or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return not (value.is_quantized or value.is_complex() or value.dtype == torch.bool)


def _name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _empty(value: Tensor, shape: tuple[int, int]) -> Rows:
    return MemoryRows(value.detach().reshape(shape).clone())


def _load(path: str) -> object:
    """Loads with torch's restricted reader, mapped where the file allows it."""
    try:
        with open(path, "rb") as file:
            refuse_more_than_it_holds(file)
        with warnings.catch_warnings():
            # Torch remarks on pickle versions and sparse tensors; such files are refused here, in one line.
            warnings.simplefilter("ignore", UserWarning)
            return _restricted(path)
    except pickle.UnpicklingError as error:
        raise StoreError(
            f"{path} is refused: reading it would unpickle more than tensors, which can run code. If you trust it, "
            "convert it once where it was made: torch.save(torch.as_tensor(features), file)."
        ) from error
    except DAMAGE as error:
        raise unreadable(Path(path), error) from error


def _restricted(path: str) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(path, map_location="cpu", weights_only=True)  # written before torch 1.6


TORCH: Handles[object] = Handles(_load, lambda held: None, kept=4)
