"""A reader of slides as a laboratory's camera writes them: eight letters, width and height, then RGB."""

import struct
from pathlib import Path

import numpy as np

from pathfuse.errors import ImageError
from pathfuse.slides import Match, MemorySlide, Pixels, SlideReader, Spacing

MAGIC = b"LABSLIDE"


class TinyReader(SlideReader):
    """Opens `.tinyformat` files."""

    suffixes = frozenset({".tinyformat"})

    def match(self, path: Path) -> Match:
        """By its first letters."""
        with path.open("rb") as file:
            return Match.CERTAIN if file.read(8) == MAGIC else Match.NO

    def open(self, path: Path, spacing: Spacing) -> MemorySlide:
        """The whole slide; the camera stores no spacing."""
        data = path.read_bytes()
        width, height = struct.unpack("<II", data[8:16])
        if data[:8] != MAGIC or len(data) != 16 + width * height * 3:
            raise ImageError(f"{path} is damaged or cut short. Copy it again.")
        pixels = np.frombuffer(data, np.uint8, offset=16).reshape(height, width, 3)
        return MemorySlide(path, pixels, spacing if spacing.mpp is not None else Spacing(None, "a camera's file"))

    def example(self, folder: Path, pixels: Pixels) -> Path:
        """A file of the camera."""
        path = folder / "example.tinyformat"
        path.write_bytes(MAGIC + struct.pack("<II", pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
        return path
