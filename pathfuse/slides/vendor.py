"""Slides of scanner vendors, read by OpenSlide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from pathfuse.errors import ImageError
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Level, Slide
from pathfuse.slides.spacing import Spacing, stated_spacing


def vendor_of(path: Path) -> str | None:
    """Which of OpenSlide's formats a file has; None if none."""
    found: str | None = openslide.OpenSlide.detect_format(str(path))
    return found


class VendorSlide(Slide):
    """Any format of OpenSlide.

    Args:
        path: the file.
        spacing: what the user says; otherwise the header is asked.
    """

    def __init__(self, path: Path, spacing: Spacing) -> None:
        self.path = path
        try:
            self._slide = openslide.OpenSlide(str(path))
            # Everything is read now: after one failed read, OpenSlide refuses even its properties.
            facts = dict(self._slide.properties)
            sizes, downsamples = self._slide.level_dimensions, self._slide.level_downsamples
        except (openslide.OpenSlideError, OSError) as error:
            raise ImageError(f"{path} cannot be opened ({_reason(error)}). Copy it again, or leave it out.") from error
        self.levels = tuple(Level(*size, float(down)) for size, down in zip(sizes, downsamples, strict=True))
        stated = stated_spacing(*(_number(facts.get(key)) for key in ("openslide.mpp-x", "openslide.mpp-y")))
        self.spacing = spacing if spacing.mpp is not None else stated

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels as stored; what was not scanned is white."""
        downsample = self.levels[level].downsample
        place = (round(x * downsample), round(y * downsample))
        try:
            region = self._slide.read_region(place, level, (width, height))
        except (openslide.OpenSlideError, OSError) as error:
            raise ImageError(
                f"{self.path} cannot be read at ({place[0]}, {place[1]}) ({_reason(error)}). Copy it again, or leave "
                "it out."
            ) from error
        # Alpha is the highest byte where bytes are little-endian, and one pass over whole words is fast.
        words = np.asarray(region).view("<u4")
        if words.min() < 0xFF000000:
            region = Image.alpha_composite(Image.new("RGBA", region.size, "white"), region)
        return np.asarray(region.convert("RGB"))

    def close(self) -> None:
        """Closes the file."""
        self._slide.close()


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.replace(",", "."))
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
