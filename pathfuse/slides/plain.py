"""PNG, JPEG and small flat TIFF: decoded whole; the spacing has to be given."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pathfuse.errors import ImageError
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Level, Slide, clipped
from pathfuse.slides.spacing import Spacing

MAX_PX = 400_000_000  # decoded whole, that is 1.2 GB
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError)


class PlainSlide(Slide):
    """An image file without levels.

    Args:
        path: the file.
        spacing: what the user says.
    """

    def __init__(self, path: Path, spacing: Spacing) -> None:
        self.path = path
        self.spacing = spacing if spacing.mpp is not None else Spacing(None, "an image file stores none")
        self._pixels = _decode(path)
        height, width = self._pixels.shape[:2]
        self.levels = (Level(width, height, 1.0),)

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels as stored; outside is white."""
        image = np.full((height, width, 3), 255, np.uint8)
        left, top, right, bottom = clipped(x, y, width, height, self.levels[level])
        if right > left and bottom > top:
            image[top - y : bottom - y, left - x : right - x] = self._pixels[top:bottom, left:right]
        return image

    def close(self) -> None:
        """Nothing is open."""


def _decode(path: Path) -> Pixels:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            with Image.open(path) as image:
                if image.width * image.height > MAX_PX:
                    raise ImageError(f"{path} has too many pixels without levels. Save it as a pyramidal, tiled TIFF.")
                if image.mode in ("I", "F") or image.mode.startswith("I;"):
                    raise ImageError(f"{path} has more than 8 bits per channel. Save it as 8-bit RGB.")
                return _rgb(image)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is no slide or image that can be read. Copy it again, or leave it out.") from error
    except _BROKEN as error:
        raise ImageError(f"{path} is damaged or cut short ({error}). Copy it again, or leave it out.") from error


def _rgb(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))
