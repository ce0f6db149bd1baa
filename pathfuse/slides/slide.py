"""One interface over every kind of slide file: levels, spacing, and reads that are area means."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import ImageError
from pathfuse.slides.resample import Pixels, area_resample
from pathfuse.slides.spacing import Spacing

LEVEL_SLACK = (
    1.01  # a level this much coarser than asked still counts as fine enough: else 16 times the pixels are read
)
SNAP = 0.005  # stored levels are rounded to whole pixels; a difference below this is theirs and not worth blurring for
READ_PX = 2048  # edge of what is read at once for an overview


class Level(NamedTuple):
    """One stored resolution; `downsample` is level-0 pixels per pixel of the level."""

    width: int
    height: int
    downsample: float


class Slide(ABC):
    """An open slide. Use it in a `with` block; open it in the process that reads it.

    Attributes:
        path: the file.
        levels: stored resolutions, finest first.
        spacing: micrometres per level-0 pixel, or why that is unknown.
        reader: name of the reader that opened it; `open_slide` sets it.
        origin: left and top, in level-0 pixels, of the part that was scanned. Viewers such as QuPath show that part
            alone and count from there; everything here counts from the corner of the whole slide.
    """

    path: Path
    levels: tuple[Level, ...]
    spacing: Spacing
    reader: str = ""
    origin: tuple[int, int] = (0, 0)

    @abstractmethod
    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels of a level as stored, (height, width, 3) RGB; (x, y) in pixels of that level, outside is white.

        Raises:
            ImageError: if that part of the file cannot be decoded.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the file."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in level-0 pixels."""
        return self.levels[0].width, self.levels[0].height

    @property
    def mpp(self) -> float:
        """Micrometres per level-0 pixel.

        Raises:
            ImageError: if neither the file nor the user says.
        """
        if self.spacing.mpp is None:
            raise ImageError(
                f"{self.path} has no usable mpp ({self.spacing.why}). Give micrometres per level-0 pixel with "
                "--slide-mpp, or in column mpp of the case table."
            )
        return self.spacing.mpp

    def level_for(self, downsample: float) -> int:
        """The coarsest level that is still as fine as `downsample` level-0 pixels per pixel."""
        fine = [i for i, level in enumerate(self.levels) if level.downsample <= downsample * LEVEL_SLACK]
        return max(fine, key=lambda i: self.levels[i].downsample, default=0)

    def read(self, x: float, y: float, size_level0: float, size_px: int) -> Pixels:
        """A square patch, (size_px, size_px, 3) RGB, from the nearest level that is fine enough.

        Args:
            x: left edge in level-0 pixels.
            y: upper edge in level-0 pixels.
            size_level0: edge of the square in level-0 pixels.
            size_px: edge of the result.
        """
        return self.read_box((x, y, size_level0, size_level0), size_px, size_px)

    def read_patches(self, coords: NDArray[np.int64], size_level0: float, size_px: int) -> Pixels:
        """Square patches, (N, size_px, size_px, 3), at level-0 top-left coordinates (N, 2)."""
        patches = np.empty((len(coords), size_px, size_px, 3), np.uint8)
        for patch, (x, y) in zip(patches, coords.tolist(), strict=True):
            patch[...] = self.read(x, y, size_level0, size_px)
        return patches

    def read_box(self, box: tuple[float, float, float, float], width: int, height: int) -> Pixels:
        """A rectangle (left, top, width, height in level-0 pixels) as an image of `width` by `height` pixels."""
        index = self.level_for(min(box[2] / width, box[3] / height))
        downsample = self.levels[index].downsample
        left, top, wide, high = (value / downsample for value in box)
        if index:
            left, wide = _snap(left, wide, width)
            top, high = _snap(top, high, height)
        x, y = math.floor(left), math.floor(top)
        columns, rows = math.ceil(left + wide - 1e-6) - x, math.ceil(top + high - 1e-6) - y
        stored = self.read_level(index, x, y, columns, rows)
        return area_resample(stored, (left - x, top - y, wide, high), width, height)

    def overview(self, mpp: float) -> Pixels:
        """The whole slide at a coarse spacing; reads part by part, so memory does not grow with the slide."""
        scale = max(mpp / self.mpp, 1.0)
        width, height = (max(1, round(edge / scale)) for edge in self.size)
        across, down = self.size[0] / width, self.size[1] / height
        image = np.empty((height, width, 3), np.uint8)
        step = max(1, int(READ_PX * self.levels[self.level_for(scale)].downsample / scale))
        for top in range(0, height, step):
            for left in range(0, width, step):
                high, wide = min(step, height - top), min(step, width - left)
                box = (left * across, top * down, wide * across, high * down)
                image[top : top + high, left : left + wide] = self.read_box(box, wide, high)
        return image

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _snap(start: float, length: float, count: int) -> tuple[float, float]:
    whole = round(length / count) * count
    return (round(start), whole) if whole and abs(length / whole - 1) < SNAP else (start, length)


def clipped(x: int, y: int, width: int, height: int, level: Level) -> tuple[int, int, int, int]:
    """The part of a rectangle that lies on a level: left, top, right, bottom; empty if right <= left."""
    return max(x, 0), max(y, 0), min(x + width, level.width), min(y + height, level.height)
