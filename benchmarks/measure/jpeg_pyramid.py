"""Pyramids of JPEG tiles, as scanners write them, from tiles that are made one by one: no memory however large."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

DOWNSAMPLES = (1, 4, 16)
QUALITY = 80
_SUBSAMPLING_TAG = 530  # YCbCrSubSampling
_COMPRESSION = {"JPEG": 7, "YCbCr": 6}


def jpeg(tile: Image.Image | np.ndarray, *, halved: bool) -> bytes:
    """A tile as JPEG; `halved` keeps half of the colour's resolution, as most scanners do."""
    picture = Image.fromarray(tile) if isinstance(tile, np.ndarray) else tile
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=2 if halved else 0)
    return buffer.getvalue()


def write_jpeg_pyramid(
    path: Path,
    edge: int,
    mpp: float,
    tiles: Callable[[int], Iterator[bytes]],
    *,
    tile: int,
    halved: bool,
    downsamples: tuple[int, ...] = DOWNSAMPLES,
) -> Path:
    """Writes a square slide.

    Args:
        path: the file.
        edge: of level 0 in pixels.
        mpp: micrometres per pixel of level 0.
        tiles: given the edge of a level, its tiles as `jpeg` makes them, row by row.
        tile: edge of a tile in pixels.
        halved: whether the tiles keep half of the colour's resolution.
        downsamples: of the levels.
    """
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for downsample in downsamples:
            size = edge // downsample
            file.write(
                tiles(size),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                compression="zlib",
                photometric="rgb",
                extratags=[(_SUBSAMPLING_TAG, "H", 2, (2, 2) if halved else (1, 1), True)],
                subfiletype=int(downsample > 1),
                resolution=(1e4 / (mpp * downsample),) * 2,
                resolutionunit=3,
                metadata=None,
            )
    # The tiles are JPEG already; tifffile would ask for imagecodecs to say so in the first place.
    with tifffile.TiffFile(path, mode="r+b") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(_COMPRESSION["JPEG"])
            page.tags["PhotometricInterpretation"].overwrite(_COMPRESSION["YCbCr"])
    return path
