"""Finds the reader of a slide file."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pathfuse.errors import ImageError, cannot_be_read
from pathfuse.slides.slide import Slide
from pathfuse.slides.spacing import Spacing, given_spacing

PLAIN = {".png", ".jpg", ".jpeg"}
TIFF = {".tif", ".tiff", ".svs"}
VENDOR = {".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".czi", ".dcm", ".isyntax"}
SUFFIXES = frozenset(PLAIN | TIFF | VENDOR)


def open_slide(path: Path | str, *, mpp: float | None = None) -> Slide:
    """Opens a slide.

    Args:
        path: any format of OpenSlide, TIFF, OME-TIFF, PNG or JPEG.
        mpp: micrometres per level-0 pixel; overrides what the file states.

    Raises:
        ImageError: if it cannot be read, or its reader is not installed.
    """
    path = Path(path)
    spacing = Spacing(None) if mpp is None else given_spacing(path, mpp)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ImageError(f"{path} does not exist or cannot be read. Correct the path, or leave it out.") from error
    if size == 0 or path.is_dir():
        raise ImageError(f"{path} is {'a folder' if size else 'empty (0 bytes)'}, no slide. Copy it again.")
    return _reader(path)(path, spacing)


def _reader(path: Path) -> Callable[[Path, Spacing], Slide]:
    from pathfuse.slides.plain import PlainSlide

    suffix = path.suffix.lower()
    if suffix in PLAIN:
        return PlainSlide
    tiff = is_tiff(path)
    if tiff and suffix in TIFF and _for_tifffile(path):
        from pathfuse.slides.tiff import TiffSlide

        return TiffSlide
    if not have_openslide():
        raise ImageError(f"{path.name} needs OpenSlide: pip install 'pathfuse[wsi]'")
    from pathfuse.slides.vendor import VendorSlide, vendor_of

    if vendor_of(path) is not None or suffix in VENDOR:
        return VendorSlide
    if tiff:
        return PlainSlide  # flat, in a compression that tifffile alone cannot undo
    raise ImageError(f"{path} is no slide of a known format. Convert it to a pyramidal TIFF, or leave it out.")


def have_openslide() -> bool:
    """Whether OpenSlide and its Python wrapper are installed."""
    try:
        import openslide  # noqa: F401
    except (ImportError, OSError):  # the wrapper without the library
        return False
    return True


def is_tiff(path: Path) -> bool:
    """By its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError as error:
        raise cannot_be_read(ImageError, path, error, "Correct its permissions.") from error


def _for_tifffile(path: Path) -> bool:
    """Whether our own TIFF reader takes it.

    It takes what it can decode of plain and Aperio TIFF, which it reads faster; OME-TIFF, whose levels OpenSlide does
    not see; and what it can only refuse: OpenSlide turns 16 bits into 8 without a word.
    """
    import tifffile

    from pathfuse.slides.tiff import BROKEN

    try:
        with tifffile.TiffFile(path) as file:
            page = file.series[0].levels[0].keyframe
            if file.is_ome or page.dtype is None or page.dtype.name != "uint8":
                return True
            return _is_plain(path, file) and all(can_decode(level.keyframe) for level in file.series[0].levels)
    except BROKEN:
        return False


def _is_plain(path: Path, file: Any) -> bool:  # noqa: ANN401 - a tifffile file
    """Whether it is no format of a scanner that gives the tags of TIFF a meaning of its own."""
    if not have_openslide():
        return not any((file.is_philips, file.is_ndpi, file.is_scn, file.is_bif))
    from pathfuse.slides.vendor import vendor_of

    return vendor_of(path) in (None, "generic-tiff", "aperio")


def can_decode(page: Any) -> bool:  # noqa: ANN401 - a tifffile page
    """Whether there is a decoder for a page here."""
    compression = int(page.compression)
    if compression == 7:
        return int(page.photometric) in (1, 2, 6) and int(page.planarconfig) == 1
    return compression in (1, 8, 32946, 32773, 34925) or find_spec("imagecodecs") is not None
