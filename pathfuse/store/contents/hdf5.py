"""The contents of an HDF5 file. Links and storage that lead to other files are never followed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from pathfuse.store.contents.contents import Contents, Fact, Found, check_size, rows_shape
from pathfuse.store.rows import Hdf5Rows, MappedRows, MemoryRows, Rows, Stamp, open_hdf5, to_tensor, unreadable
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
            for name in islice(file, MAX_NAMES):
                found = _found(file, name, path, stamp)
                if isinstance(found, str):
                    ignored[name] = found
                else:
                    arrays[name] = found
            attributes = _attributes(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise unreadable(path, error) from error
    return Contents(path, "hdf5", arrays, attributes, ignored)


def _found(file: h5py.File, name: str, path: Path, stamp: Stamp) -> Found | str:
    """An array, or why it is none."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return "a link that may lead out of the file, ignored"
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        return "a group"
    if dataset.external or dataset.is_virtual:
        return "its data lie in another file, ignored"
    if dataset.shape is None or dataset.dtype.kind not in "fiu":
        return f"holds no numbers but {dataset.dtype}"
    needed = dataset.dtype.itemsize * int(np.prod(dataset.shape, dtype=object))
    check_size(path, name, needed, dataset.id.get_storage_size())
    rows, contiguous = _rows(dataset, name, path, stamp, needed)
    return Found(dataset.shape, rows, _attributes(dataset), dataset.chunks, str(dataset.dtype), contiguous)


def _rows(dataset: h5py.Dataset, name: str, path: Path, stamp: Stamp, needed: int) -> tuple[Rows | None, bool]:
    shape = rows_shape(dataset.shape)
    offset = dataset.id.get_offset()
    # A user block shifts every offset; nobody writes one, so such a file is read the slow way.
    contiguous = offset is not None and dataset.file.userblock_size == 0 and dataset.id.get_storage_size() == needed
    contiguous = contiguous or (needed == 0 and dataset.chunks is None)
    if shape is None:
        return None, contiguous
    if contiguous and 0 not in shape:
        return MappedRows(path, stamp, shape, dataset.dtype.str, int(offset), sums=read_sums(dataset, needed)), True
    if len(dataset.shape) == 1:
        return MemoryRows(to_tensor(dataset[()]).reshape(shape)), contiguous
    return Hdf5Rows(path, stamp, shape, dataset.dtype.str, name, len(dataset.shape) - 2), contiguous


def _attributes(thing: h5py.File | h5py.Dataset) -> dict[str, Fact]:
    """Single numbers and texts; nothing is evaluated, and a text stays a text."""
    facts: dict[str, Fact] = {}
    for name in islice(thing.attrs, MAX_NAMES):
        if name in (SUMS, SIZE):
            continue
        try:
            value = _attribute(thing, name)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError):
            continue  # a type that h5py does not know, for example a reference to something deleted
        if value is not None and value != "None":
            facts[name] = value
    return facts


def _attribute(thing: h5py.File | h5py.Dataset, name: str) -> Fact | None:
    kind = thing.attrs.get_id(name)
    if kind.dtype.kind in "fiub":
        if int(np.prod(kind.shape, dtype=object)) not in range(1, MAX_NUMBERS + 1):
            return None
        numbers = np.asarray(thing.attrs[name]).ravel()
        # The downsample of CLAM is a pair of equal numbers.
        return numbers[0].item() if (numbers == numbers[0]).all() else " ".join(str(n) for n in numbers.tolist())
    if kind.shape != () or kind.dtype.itemsize > MAX_TEXT:
        return None
    value = thing.attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:MAX_TEXT] if isinstance(value, str) else None
