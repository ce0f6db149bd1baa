"""The contents of an HDF5 file. Links and storage that lead to other files are never followed."""

from __future__ import annotations

from itertools import islice
from math import prod
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from pathfuse.store.contents.contents import Contents, Fact, Found, check_size, rows_shape
from pathfuse.store.rows.hdf5 import Hdf5Rows, open_hdf5
from pathfuse.store.rows.mapped import MappedRows
from pathfuse.store.rows.rows import MemoryRows, Rows
from pathfuse.store.rows.stamp import Stamp, unreadable
from pathfuse.store.rows.tensors import to_tensor
from pathfuse.store.sums import SIZE, SUMS, read_sums

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_NAMES = 64  # more names or attributes than any feature file has
MAX_TEXT = 1 << 16
MAX_NUMBERS = 16


def read_hdf5(path: Path) -> Contents:
    """The header of an HDF5 file; it is closed again before this returns.

    Raises:
        StoreError: if it is damaged, or an array claims more than it can hold.
    """
    arrays: dict[str, Found] = {}
    ignored: dict[str, str] = {}
    try:
        stamp = Stamp.of(path)
        with open_hdf5(str(path)) as file:
            mapped = file.userblock_size == 0  # a user block shifts every offset; nobody writes one
            for name in islice(file, MAX_NAMES):
                found = _found(file, name, path, stamp, mapped)
                if isinstance(found, str):
                    ignored[name] = found
                else:
                    arrays[name] = found
            attributes = _attributes(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise unreadable(path, error) from error
    return Contents(path, "hdf5", arrays, attributes, ignored)


def _found(file: h5py.File, name: str, path: Path, stamp: Stamp, mapped: bool) -> Found | str:
    """An array, or why it is none."""
    written = name.encode("utf-8", "surrogateescape")
    if file.id.links.get_info(written).type != h5py.h5l.TYPE_HARD:
        return "a link that may lead out of the file, ignored"
    found = h5py.h5o.open(file.id, written)  # `file[name]` would first make another object of the whole file
    if not isinstance(found, h5py.h5d.DatasetID):
        return "a group"
    dataset = h5py.Dataset(found, readonly=True)
    if dataset.external or dataset.is_virtual:
        return "its data lie in another file, ignored"
    shape, dtype, chunks = dataset.shape, dataset.dtype, dataset.chunks  # h5py asks the file for each, each time
    if shape is None or dtype.kind not in "fiu":
        return f"holds no numbers but {dtype}"
    needed, stored = dtype.itemsize * prod(shape), dataset.id.get_storage_size()
    check_size(path, name, needed, stored)
    offset = dataset.id.get_offset()
    contiguous = (mapped and offset is not None and stored == needed) or (needed == 0 and chunks is None)
    rows: Rows | None = None
    if (two := rows_shape(shape)) is not None:
        if contiguous and needed > 0:
            rows = MappedRows(path, stamp, two, dtype.str, int(offset), sums=read_sums(dataset.attrs, name, needed))
        elif len(shape) == 1:
            rows = MemoryRows(to_tensor(dataset[()]).reshape(two))
        else:
            rows = Hdf5Rows(path, stamp, two, dtype.str, name, len(shape) - 2)
    return Found(shape, rows, _attributes(dataset), chunks, str(dtype), contiguous)


def _attributes(thing: h5py.File | h5py.Dataset) -> dict[str, Fact]:
    """Single numbers and texts; nothing is evaluated, and a text stays a text."""
    facts: dict[str, Fact] = {}
    attributes = thing.attrs
    for name in islice(attributes, MAX_NAMES):
        if name in (SUMS, SIZE):
            continue
        try:
            value = _attribute(attributes, name)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError):
            continue  # a type that h5py does not know, for example a reference to something deleted
        if value is not None and value != "None":
            facts[name] = value
    return facts


def _attribute(attributes: h5py.AttributeManager, name: str) -> Fact | None:
    kind = attributes.get_id(name)
    shape, dtype = kind.shape, kind.dtype
    if dtype.kind in "fiub":
        if shape is None or prod(shape) not in range(1, MAX_NUMBERS + 1):
            return None
        numbers = np.empty(shape, dtype).reshape(-1)
        kind.read(numbers)
        # The downsample of CLAM is a pair of equal numbers.
        return numbers[0].item() if (numbers == numbers[0]).all() else " ".join(str(n) for n in numbers.tolist())
    if shape != () or dtype.itemsize > MAX_TEXT:
        return None
    value = attributes[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:MAX_TEXT] if isinstance(value, str) else None
