"""Pixels of labelled patches: a file each, or rows of HDF5 files; read when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathfuse.cohort import Case
from pathfuse.cohort.sources.patch_camelyon import dataset
from pathfuse.data.images.dataset import ImageRows
from pathfuse.data.images.decode import Pixels, decode, image_size
from pathfuse.data.images.prepare import fitted
from pathfuse.store.rows.hdf5 import HDF5, open_hdf5
from pathfuse.store.rows.stamp import Stamp, refuse_changed, unreadable


@dataclass(frozen=True)
class FileImages:
    """Patches that are image files.

    Attributes:
        paths: the files, a row each.
    """

    paths: Sequence[Path]

    def read(self, row: int) -> Pixels:
        """One patch, (H, W, 3).

        Raises:
            ImageError: if the file cannot be decoded.
        """
        return decode(self.paths[row])

    def edge_px(self) -> int:
        """The shorter edge of the first patch."""
        return min(image_size(self.paths[0]))


@dataclass(frozen=True)
class Hdf5Block:
    """The patches of one HDF5 file: dataset `x` (N, H, W, 3), bytes.

    Attributes:
        path: the file.
        stamp: size and time when its header was read.
        shape: of the dataset.
        offset: where its bytes begin, if they lie in one piece; None reads through HDF5.
    """

    path: Path
    stamp: Stamp
    shape: tuple[int, int, int, int]
    offset: int | None

    def read(self, row: int) -> Pixels:
        """One patch, (H, W, 3).

        Raises:
            StoreError: if the file changed, was cut off or removed.
        """
        refuse_changed(self.path, self.stamp)
        try:
            if self.offset is not None:
                _, height, width, depth = self.shape
                size = height * width * depth
                flat = np.fromfile(self.path, np.uint8, size, offset=self.offset + row * size)
                return flat.reshape(height, width, depth)
            pixels: Pixels = HDF5.get(str(self.path), self.stamp)["x"][row]
            return pixels
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise unreadable(self.path, error) from error


@dataclass(frozen=True)
class Hdf5Images:
    """Patches that are rows of HDF5 files.

    Attributes:
        blocks: the files, by their path.
        places: of every patch, its file and its row there.
    """

    blocks: Mapping[Path, Hdf5Block]
    places: Sequence[tuple[Path, int]]

    def read(self, row: int) -> Pixels:
        """One patch, (H, W, 3).

        Raises:
            StoreError: if its file changed, was cut off or removed.
        """
        path, place = self.places[row]
        return self.blocks[path].read(place)

    def edge_px(self) -> int:
        """The shorter edge of the first patch."""
        return min(self.blocks[self.places[0][0]].shape[1:3])


def images_of(cases: Sequence[Case], modality: str) -> FileImages | Hdf5Images:
    """The images of some cases, one each, in their order.

    Raises:
        StoreError: if an HDF5 file cannot be opened.
    """
    places = [(case.files[modality][0].path, case.row) for case in cases]
    if all(row is None for _, row in places):
        return FileImages([path for path, _ in places])
    rows = [(path, row) for path, row in places if row is not None]
    return Hdf5Images({path: hdf5_block(path) for path in dict.fromkeys(path for path, _ in rows)}, rows)


def hdf5_block(path: Path) -> Hdf5Block:
    """The patches of an HDF5 file, by its header.

    Raises:
        StoreError: if it cannot be opened.
    """
    try:
        stamp = Stamp.of(path)
        with open_hdf5(str(path)) as file:
            patches = dataset(file, "x", path)
            return Hdf5Block(path, stamp, patches.shape, patches.id.get_offset())
    except OSError as error:
        raise unreadable(path, error) from error


@dataclass(frozen=True)
class FittedImages(ImageRows):
    """Patches cut square and resized, for a dataset.

    Attributes:
        images: the patches as stored.
        size_px: edge of the result.
    """

    images: FileImages | Hdf5Images
    size_px: int

    def __getitem__(self, row: int) -> Pixels:
        """One patch, (3, size_px, size_px)."""
        return fitted(self.images.read(row), self.size_px)
