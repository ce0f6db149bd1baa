"""Rewrites a chunked HDF5 file contiguously: the same arrays and attributes, byte for byte, read many times as fast."""

from __future__ import annotations

from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from pathfuse.errors import StoreError
from pathfuse.store.contents.hdf5 import read_hdf5
from pathfuse.store.new_hdf5 import new_hdf5
from pathfuse.store.rows.hdf5 import open_hdf5
from pathfuse.store.rows.stamp import unreadable
from pathfuse.system.files import replacing

BLOCK = 64 << 20  # bytes copied at once


def repack(source: Path, target: Path) -> bool:
    """Writes a contiguous copy of an HDF5 file, checks that it is equal, and puts it in place.

    Args:
        source: TRIDENT, CLAM, STAMP or our own file.
        target: may be the source itself, which is then replaced.

    Returns:
        Whether anything was to be done; False if the file is contiguous already and source and target are the same.

    Raises:
        StoreError: if the file is damaged, or holds what cannot be copied exactly.
    """
    contents = read_hdf5(source)
    refused = {name: why for name, why in contents.ignored.items() if "ignored" in why or "group" in why}
    if refused:
        name, why = next(iter(refused.items()))
        raise StoreError(f"{source}: {name} is {why}. Repack copies plain arrays only.")
    if source.resolve() == target.resolve() and all(found.contiguous for found in contents.arrays.values()):
        return False
    try:
        with replacing(target, error=StoreError) as temporary:
            with open_hdf5(str(source)) as old, new_hdf5(temporary) as new:
                _copy(old, new)
            with open_hdf5(str(source)) as old, open_hdf5(str(temporary)) as new:
                _check(old, new, source)
    except (OSError, RuntimeError, TypeError, KeyError, ValueError) as error:
        raise unreadable(source, error) from error
    return True


def _copy(old: h5py.File, new: h5py.File) -> None:
    _copy_attributes(old, new)
    for name in old:
        data = old[name]
        # The type itself, not numpy's idea of it: byte order and text encoding are part of the file.
        space = h5py.h5s.create_simple(data.shape) if data.shape else h5py.h5s.create(h5py.h5s.SCALAR)
        created = h5py.h5d.create(new.id, name.encode(), data.id.get_type(), space)
        copy = h5py.Dataset(created)
        for block in _blocks(data):
            copy[block] = data[block]
        _copy_attributes(data, copy)


def _copy_attributes(old: h5py.Dataset | h5py.File, new: h5py.Dataset | h5py.File) -> None:
    for name in old.attrs:
        attribute = h5py.h5a.open(old.id, name.encode())
        copy = h5py.h5a.create(new.id, name.encode(), attribute.get_type(), attribute.get_space())
        if attribute.shape is not None:  # else it is a type without a value
            raw = np.empty(attribute.shape, attribute.dtype)
            attribute.read(raw)
            copy.write(raw)


def _blocks(data: h5py.Dataset) -> list[tuple[slice, ...]] | list[tuple[()]]:
    if not data.shape or 0 in data.shape:
        return [()] if not data.shape else []
    axis = 1 if len(data.shape) == 3 and data.shape[0] == 1 else 0
    row = max(1, data.dtype.itemsize * int(np.prod(data.shape)) // data.shape[axis])
    step = max(1, BLOCK // row)
    lead = (slice(None),) * axis
    return [(*lead, slice(start, start + step)) for start in range(0, data.shape[axis], step)]


def _check(old: h5py.File, new: h5py.File, source: Path) -> None:
    """Compares bytes, so that NaN equals itself."""
    same = set(old) == set(new) and _same_attributes(old, new)
    for name in old if same else ():
        one, two = old[name], new[name]
        same = same and one.shape == two.shape and one.id.get_type() == two.id.get_type()
        same = same and _same_attributes(one, two)
        same = same and all(one[block].tobytes() == two[block].tobytes() for block in _blocks(one))
    if not same:
        raise StoreError(f"{source} cannot be copied exactly and is left as it is. Report the file's layout.")


def _same_attributes(old: h5py.Dataset | h5py.File, new: h5py.Dataset | h5py.File) -> bool:
    if list(old.attrs) != list(new.attrs):
        return False
    for name in old.attrs:
        one, two = h5py.h5a.open(old.id, name.encode()), h5py.h5a.open(new.id, name.encode())
        if one.get_type() != two.get_type() or one.shape != two.shape:
            return False
        if one.shape is not None and _raw(old.attrs[name]) != _raw(new.attrs[name]):
            return False
    return True


def _raw(value: object) -> object:
    """A value that equals itself, also when it is NaN."""
    array = np.asarray(value)
    return array.tolist() if array.dtype == object else array.tobytes()
