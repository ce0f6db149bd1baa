"""Slides of scanner vendors, read by OpenSlide."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tifffile  # type: ignore[import-untyped,unused-ignore]
from PIL import Image

from pathfuse.errors import ImageError
from pathfuse.registry import Match
from pathfuse.slides.formats.plain import PlainReader
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Level, Slide
from pathfuse.slides.spacing import Spacing, stated_spacing


class OpenSlideReader(SlideReader):
    """Opens every format of OpenSlide, which the extra `wsi` installs."""

    suffixes = frozenset(
        {".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".czi", ".dcm", ".isyntax"}
    )

    def match(self, path: Path) -> Match:
        """By what OpenSlide finds, or by the suffix; without OpenSlide, what nobody else is sure about."""
        if path.suffix.lower() in PlainReader.suffixes:
            return Match.NO
        known = path.suffix.lower() in self.suffixes or library() is None or vendor_of(path) is not None
        return Match.POSSIBLE if known else Match.NO

    def open(self, path: Path, spacing: Spacing) -> Slide:
        """The slide.

        Raises:
            ImageError: if OpenSlide is not installed, or cannot open it.
        """
        if library() is None:
            raise ImageError(f"{path.name} needs OpenSlide: pip install 'pathfuse[wsi]'")
        return VendorSlide(path, spacing)

    def example(self, folder: Path, pixels: Pixels) -> Path | None:
        """A tiled TIFF, the one format of OpenSlide that is no scanner's; None without OpenSlide."""
        if library() is None:
            return None
        path = folder / "example.svs"  # OpenSlide goes by what is in it
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), metadata=None)
        return path


def library() -> ModuleType | None:
    """OpenSlide's Python wrapper; None where it or the library behind it is not installed."""
    try:
        import openslide
    except (ImportError, OSError):  # the wrapper without the library
        return None
    found: ModuleType = openslide
    return found


def vendor_of(path: Path) -> str | None:
    """Which of OpenSlide's formats a file has; None if none, or if OpenSlide is not there to say."""
    openslide: Any = library()
    found: str | None = None if openslide is None else openslide.OpenSlide.detect_format(str(path))
    return found


class VendorSlide(Slide):
    """Any format of OpenSlide.

    Args:
        path: the file.
        spacing: what the user says; otherwise the header is asked.
    """

    def __init__(self, path: Path, spacing: Spacing) -> None:
        import openslide

        self.path = path
        self._errors = (openslide.OpenSlideError, OSError)
        try:
            self._slide = openslide.OpenSlide(str(path))
            # Everything is read now: after one failed read, OpenSlide refuses even its properties.
            facts = dict(self._slide.properties)
            sizes, downsamples = self._slide.level_dimensions, self._slide.level_downsamples
        except self._errors as error:
            raise ImageError(f"{path} cannot be opened ({_reason(error)}). Copy it again, or leave it out.") from error
        self.levels = tuple(Level(*size, float(down)) for size, down in zip(sizes, downsamples, strict=True))
        stated = stated_spacing(*(_number(facts.get(key)) for key in ("openslide.mpp-x", "openslide.mpp-y")))
        left, top = (_number(facts.get(f"openslide.bounds-{axis}")) or 0 for axis in "xy")
        self.origin = (round(left), round(top))
        self.spacing = spacing if spacing.mpp is not None else stated

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels as stored; what was not scanned is white."""
        downsample = self.levels[level].downsample
        place = (round(x * downsample), round(y * downsample))
        try:
            region = self._slide.read_region(place, level, (width, height))
        except self._errors as error:
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
