"""The choice between our own TIFF reader and OpenSlide."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tifffile  # type: ignore[import-untyped,unused-ignore]

from pathfuse.registry import Match
from pathfuse.slides.formats.plain import is_tiff
from pathfuse.slides.formats.tiff import BROKEN, TiffSlide, slide_series
from pathfuse.slides.formats.vendor import library, vendor_of
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide
from pathfuse.slides.spacing import Spacing


class TiffReader(SlideReader):
    """Opens pyramidal, tiled and flat TIFF, OME-TIFF and Aperio SVS.

    It takes what it can decode of plain and Aperio TIFF, which it reads faster than OpenSlide; OME-TIFF, whose levels
    OpenSlide does not see; and what it can only refuse: OpenSlide turns 16 bits into 8 without a word.
    """

    suffixes = frozenset({".tif", ".tiff", ".svs"})

    def match(self, path: Path) -> Match:
        """By the suffix, and by what the file holds."""
        ours = path.suffix.lower() in self.suffixes and is_tiff(path) and _takes(path)
        return Match.LIKELY if ours else Match.NO

    def open(self, path: Path, spacing: Spacing) -> Slide:
        """The slide, read piece by piece."""
        return TiffSlide(path, spacing)

    def example(self, folder: Path, pixels: Pixels) -> Path:
        """A tiled TIFF."""
        path = folder / "example.tiff"
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), metadata=None)
        return path


def _takes(path: Path) -> bool:
    try:
        with tifffile.TiffFile(path) as file:
            series = slide_series(file)
            page = series.levels[0].keyframe
            if file.is_ome or page.dtype is None or page.dtype.name != "uint8":
                return True
            return _is_plain(path, file) and all(can_decode(level.keyframe) for level in series.levels)
    except BROKEN:
        return False


def _is_plain(path: Path, file: Any) -> bool:  # noqa: ANN401 - a tifffile file
    """Whether it is no format of a scanner that gives the tags of TIFF a meaning of its own."""
    if library() is None:
        return not any((file.is_philips, file.is_ndpi, file.is_scn, file.is_bif))
    return vendor_of(path) in (None, "generic-tiff", "aperio")


def can_decode(page: Any) -> bool:  # noqa: ANN401 - a tifffile page
    """Whether there is a decoder for a page here."""
    compression = int(page.compression)
    if compression == 7:
        return int(page.photometric) in (1, 2, 6) and int(page.planarconfig) == 1
    return compression in (1, 8, 32946, 32773, 34925) or find_spec("imagecodecs") is not None
