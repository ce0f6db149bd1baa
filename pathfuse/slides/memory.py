"""A slide whose pixels are in memory, without levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Level, Slide, clipped
from pathfuse.slides.spacing import Spacing


class MemorySlide(Slide):
    """An image that was decoded whole.

    Args:
        path: the file that it came from.
        pixels: RGB, uint8, (H, W, 3).
        spacing: micrometres per pixel, or why that is unknown.
    """

    def __init__(self, path: Path, pixels: Pixels, spacing: Spacing) -> None:
        self.path, self.spacing = path, spacing
        self.pixels = pixels
        self.levels = (Level(pixels.shape[1], pixels.shape[0], 1.0),)

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels as they are; outside is white."""
        image = np.full((height, width, 3), 255, np.uint8)
        left, top, right, bottom = clipped(x, y, width, height, self.levels[level])
        if right > left and bottom > top:
            image[top - y : bottom - y, left - x : right - x] = self.pixels[top:bottom, left:right]
        return image

    def close(self) -> None:
        """Nothing is open."""
