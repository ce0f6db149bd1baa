"""Writes patch features in the TRIDENT layout with our attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.store.contents.contents import Fact
from pathfuse.store.new_hdf5 import new_hdf5
from pathfuse.store.rows.tensors import fitting
from pathfuse.store.sums import Summing, bytes_of
from pathfuse.system.files import replacing

OURS = "pathfuse_version"
NUMPY = {torch.float16: "<f2", torch.float32: "<f4"}


class TridentWriter:
    """Takes the features of one slide in parts, so that memory does not grow with the slide; see `trident_writer`."""

    def __init__(self, path: Path, data: h5py.Dataset, dtype: torch.dtype) -> None:
        self.path = path
        self.written = 0
        self._data = data
        self._dtype = dtype
        self.sums = Summing(data.dtype.itemsize * int(np.prod(data.shape, dtype=object)))

    def write(self, features: Tensor) -> None:
        """Adds the next rows (k, D).

        Raises:
            StoreError: if they are more than the coordinates, or overflow the type of the file.
        """
        rows = fitting(features, self._dtype, self.path)
        if self.written + len(rows) > len(self._data):
            raise StoreError(f"{self.path}: more features than the {len(self._data)} coordinates.")
        values = rows.numpy()
        self._data[self.written : self.written + len(rows)] = values
        self.sums.add(bytes_of(values))
        self.written += len(rows)


@contextmanager
def trident_writer(
    path: Path,
    coords: Tensor,
    dim: int,
    *,
    dtype: torch.dtype = torch.float16,
    encoder: str | None = None,
    patch_size: int | None = None,
    patch_size_level0: float | None = None,
    mpp: float | None = None,
    savetodir: str | None = None,
    coords_attributes: Mapping[str, Fact] | None = None,
    attributes: Mapping[str, Fact] | None = None,
) -> Iterator[TridentWriter]:
    """Writes one slide: `features` (N, D) and `coords` (N, 2) int64, contiguous, with TRIDENT's attributes and ours.

    The file appears when the block ends without an error and all rows are written. Besides TRIDENT's attributes, the
    file itself carries `pathfuse_version`, `mpp` and whatever `attributes` says. What is None is written as `None`.
    Features and coordinates carry a checksum per block, which is compared when they are read.

    Args:
        path: `features_<encoder>/<slide>.h5`.
        coords: (N, 2) long, top-left in level-0 pixels.
        dim: width D of the features.
        dtype: float16 or float32.
        encoder: name of the network.
        patch_size: edge of a patch in pixels of the image that the encoder saw.
        patch_size_level0: the same in level-0 pixels.
        mpp: micrometres per level-0 pixel.
        savetodir: what TRIDENT's attribute of that name says; None says the folder of `path`.
        coords_attributes: further attributes of `coords`, for example `overlap`, `level0_width`.
        attributes: further attributes of the file, for example `modality`, `encoder_digest`, `source`.

    Raises:
        StoreError: if the file cannot be written, or rows are missing at the end.
    """
    where = {"name": path.stem, "savetodir": str(path.parent) if savetodir is None else savetodir}
    level0 = None if patch_size_level0 is None else round(patch_size_level0)
    sizes = {"patch_size": patch_size, "patch_size_level0": level0}
    with replacing(path, error=StoreError) as temporary, new_hdf5(temporary) as file:
        corners = coords.to(torch.long).reshape(-1, 2).contiguous().numpy()
        places = file.create_dataset("coords", data=corners)
        data = file.create_dataset("features", (len(coords), dim), NUMPY[dtype])
        _describe(file, {OURS: version("pathfuse"), "mpp": mpp, **(attributes or {})})
        _describe(data, {**where, "encoder": encoder})
        _describe(places, {**where, **sizes, **(coords_attributes or {})})
        beside = Summing(corners.nbytes)
        beside.add(bytes_of(corners))
        beside.write(places)
        writer = TridentWriter(path, data, dtype)
        yield writer
        if writer.written != len(coords):
            raise StoreError(
                f"{path}: {writer.written} rows of features for {len(coords)} coordinates. Write them all."
            )
        writer.sums.write(data)


def write_trident(
    path: Path,
    features: Tensor,
    coords: Tensor,
    *,
    encoder: str | None = None,
    patch_size: int | None = None,
    patch_size_level0: float | None = None,
    mpp: float | None = None,
    savetodir: str | None = None,
    coords_attributes: Mapping[str, Fact] | None = None,
    attributes: Mapping[str, Fact] | None = None,
) -> None:
    """Writes a whole slide as `trident_writer` does, in the type of `features`."""
    dtype = features.dtype if features.dtype in NUMPY else torch.float32
    with trident_writer(
        path,
        coords,
        features.shape[1],
        dtype=dtype,
        encoder=encoder,
        patch_size=patch_size,
        patch_size_level0=patch_size_level0,
        mpp=mpp,
        savetodir=savetodir,
        coords_attributes=coords_attributes,
        attributes=attributes,
    ) as writer:
        writer.write(features)


def _describe(thing: h5py.File | h5py.Dataset, facts: Mapping[str, Fact | None]) -> None:
    for name, value in facts.items():
        thing.attrs[name] = "None" if value is None else value
