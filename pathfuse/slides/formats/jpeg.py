"""Strips and tiles of a TIFF that are JPEG streams without their tables."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pathfuse.slides.resample import Pixels

JPEG = 7  # the value of the tag Compression
START = b"\xff\xd8"


def decode_jpeg(data: bytes, tables: bytes | None, *, ycbcr: bool) -> Pixels:
    """A piece as stored, (h, w, 3), or (h, w, 1) if it is grey.

    Args:
        data: the stream of the piece.
        tables: the stream that holds the tables of all pieces, if they are not in `data`.
        ycbcr: what the TIFF says about its colours; the stream alone need not say it.

    Raises:
        OSError: if it is damaged.
    """
    if data[:2] != START:
        raise OSError("a piece is no JPEG")
    # Adobe's marker says whether three channels are YCbCr or RGB; without one a decoder guesses.
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + (b"\x01" if ycbcr else b"\x00")
    shared = tables[2:-2] if tables else b""
    with Image.open(io.BytesIO(START + adobe + shared + data[2:]), formats=["JPEG"]) as image:
        if image.mode not in ("RGB", "L"):
            raise OSError(f"a piece has channels {image.mode}")
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]
