"""PNG, JPEG and small flat TIFF: decoded whole; the spacing has to be given."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pathfuse.errors import ImageError, cannot_be_read
from pathfuse.registry import Match
from pathfuse.slides.memory import MemorySlide
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide
from pathfuse.slides.spacing import Spacing

MAX_PX = 400_000_000  # decoded whole, that is 1.2 GB
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError)


class PlainReader(SlideReader):
    """Opens PNG and JPEG, and flat TIFF whose compression no other reader can undo."""

    suffixes = frozenset({".png", ".jpg", ".jpeg"})

    def match(self, path: Path) -> Match:
        """By the suffix; any TIFF as a last resort."""
        if path.suffix.lower() in self.suffixes:
            return Match.LIKELY
        return Match.FALLBACK if is_tiff(path) else Match.NO

    def open(self, path: Path, spacing: Spacing) -> Slide:
        """The whole image."""
        stated = spacing if spacing.mpp is not None else _stated(path)
        return MemorySlide(path, _decode(path), stated)

    def example(self, folder: Path, pixels: Pixels) -> Path:
        """A PNG."""
        path = folder / "example.png"
        Image.fromarray(pixels).save(path)
        return path


def is_tiff(path: Path) -> bool:
    """By its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError as error:
        raise cannot_be_read(ImageError, path, error, "Correct its permissions.") from error


def _stated(path: Path) -> Spacing:
    """The spacing of a TIFF by its tags; other image files store none."""
    if not is_tiff(path):
        return Spacing(None, "an image file stores none")
    from pathfuse.slides.formats.tiff import BROKEN, tiff_spacing

    try:
        return tiff_spacing(path)
    except BROKEN:
        return Spacing(None, "its tags cannot be read")


def _decode(path: Path) -> Pixels:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            with Image.open(path) as image:
                if image.width * image.height > MAX_PX:
                    raise ImageError(f"{path} has too many pixels without levels. Save it as a pyramidal, tiled TIFF.")
                if image.mode in ("I", "F") or image.mode.startswith("I;"):
                    raise ImageError(f"{path} has more than 8 bits per channel. Save it as 8-bit RGB.")
                return _rgb(ImageOps.exif_transpose(image))
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is no slide or image that can be read. Copy it again, or leave it out.") from error
    except _BROKEN as error:
        raise ImageError(f"{path} is damaged or cut short ({error}). Copy it again, or leave it out.") from error


def _rgb(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))
