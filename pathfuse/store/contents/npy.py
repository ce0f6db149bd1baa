"""The contents of a `.npy` file, from its header."""

from __future__ import annotations

import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np

from pathfuse.errors import StoreError
from pathfuse.store.contents.contents import Contents, Found, rows_shape
from pathfuse.store.rows.mapped import MappedRows
from pathfuse.store.rows.rows import MemoryRows, Rows
from pathfuse.store.rows.stamp import Stamp, unreadable
from pathfuse.store.rows.tensors import to_tensor

SIGNATURE = b"\x93NUMPY"


def read_npy(path: Path) -> Contents:
    """The array of a `.npy` file.

    Raises:
        StoreError: if it is damaged or holds objects, which would have to be unpickled.
    """
    try:
        stamp = Stamp.of(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy remarks on old type names, of which no number type is one
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, TokenError) as error:
        if "bject" in str(error):
            raise StoreError(f"{path} is refused: it holds Python objects. Save a plain array of numbers.") from error
        raise unreadable(path, error) from error
    if array.dtype.kind not in "fiu":
        raise StoreError(f"{path} holds {array.dtype} and no numbers. Save a plain array of numbers.")
    shape = rows_shape(array.shape)
    rows: Rows | None = None
    if shape is not None:
        layout = "C" if array.flags.c_contiguous else "F"
        if isinstance(array, np.memmap) and 0 not in shape and (layout == "C" or array.ndim == 2):
            rows = MappedRows(path, stamp, shape, array.dtype.str, int(array.offset), layout)
        else:
            rows = MemoryRows(to_tensor(array).reshape(shape))
    return Contents(path, "npy", {"": Found(array.shape, rows, dtype=str(array.dtype))})
