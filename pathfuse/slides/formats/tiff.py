"""Tiled, pyramidal and flat TIFF, OME-TIFF and Aperio SVS, read piece by piece.

tifffile says where the pieces lie and Pillow decodes those that are JPEG, at two to three times the speed of OpenSlide,
which draws each through cairo.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from pathfuse.errors import ImageError
from pathfuse.slides.formats.jpeg import JPEG, decode_jpeg
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Level, Slide, clipped
from pathfuse.slides.spacing import Spacing, stated_spacing

UM = {"µm": 1.0, "\u03bcm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
PER_UNIT = {2: 25400.0, 3: 10000.0}  # micrometres in the unit of the resolution tags: inch, centimetre
MAX_PIECE_PX = 1 << 28  # one strip or tile; larger is a bomb or a file that cannot be read in parts
CUT = "the file ends before its data"
CACHE_BYTES = 1 << 26
# What damaged files make tifffile and the decoders raise.
BROKEN = (
    OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError, MemoryError,
    RecursionError, struct.error, zlib.error, tifffile.TiffFileError,
)  # fmt: skip


class TiffSlide(Slide):
    """A TIFF of 8-bit grey or RGB pixels.

    Args:
        path: the file.
        spacing: what the user says; otherwise the header is asked.
    """

    def __init__(self, path: Path, spacing: Spacing) -> None:
        self.path = path
        try:
            self._file = tifffile.TiffFile(path)
        except BROKEN as error:
            raise ImageError(
                f"{path} is no TIFF that can be read ({error}). Copy it again, or leave it out."
            ) from error
        try:
            series = slide_series(self._file)
            self._pages = [level.keyframe for level in series.levels]
            _check_chain(self._file)
            for page in self._pages:
                _check(path, page, series)
            self.spacing = spacing if spacing.mpp is not None else _stated(self._file)
        except BROKEN as error:
            self._file.close()
            raise ImageError(f"{path} is damaged or cut short ({error}). Copy it again, or leave it out.") from error
        except ImageError:
            self._file.close()
            raise
        width = self._pages[0].imagewidth
        self.levels = tuple(Level(page.imagewidth, page.imagelength, width / page.imagewidth) for page in self._pages)
        self._cache: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._cached = 0

    def read_level(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """Pixels as stored; outside is white."""
        page = self._pages[level]
        image = np.full((height, width, 3), 255, np.uint8)
        left, top, right, bottom = clipped(x, y, width, height, self.levels[level])
        if right <= left or bottom <= top:
            return image
        wide, high = _piece_size(page)
        columns = -(-page.imagewidth // wide)
        for row in range(top // high, -(-bottom // high)):
            for column in range(left // wide, -(-right // wide)):
                piece = self._piece(level, row * columns + column)
                if piece is None:
                    continue
                x0, y0 = column * wide, row * high
                x1, y1 = min(right, x0 + piece.shape[1]), min(bottom, y0 + piece.shape[0])
                a, b = max(left, x0), max(top, y0)
                image[b - y : y1 - y, a - x : x1 - x] = piece[b - y0 : y1 - y0, a - x0 : x1 - x0]
        return image

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _piece(self, level: int, index: int) -> NDArray[np.uint8] | None:
        """A strip or tile, (h, w, 1 or 3); None where the file holds none, which means empty glass."""
        found = self._cache.get((level, index))
        if found is not None:
            self._cache.move_to_end((level, index))
            return found
        page = self._pages[level]
        planes = page.samplesperpixel if int(page.planarconfig) == 2 else 1
        per_plane = len(page.dataoffsets) // planes
        parts = [self._decode(page, plane * per_plane + index) for plane in range(planes)]
        whole = [part for part in parts if part is not None]
        if len(whole) < planes:
            return None
        piece = np.concatenate(whole, axis=2)
        if int(page.photometric) == 0:  # white is zero
            piece[..., :1] = 255 - piece[..., :1]
        piece = _on_glass(piece, page) if piece.shape[2] in (2, 4) else piece[..., :3]
        self._cache[level, index] = piece
        self._cached += piece.nbytes
        while self._cached > CACHE_BYTES and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        return piece

    def _decode(self, page: Any, index: int) -> NDArray[np.uint8] | None:  # noqa: ANN401 - a tifffile page
        try:
            offset, count = page.dataoffsets[index], page.databytecounts[index]
            if count == 0:
                return None
            handle = self._file.filehandle
            handle.seek(offset)
            data = handle.read(count)
            if len(data) < count:
                raise ValueError(CUT)
            if int(page.compression) == JPEG:
                return decode_jpeg(data, page.jpegtables, ycbcr=int(page.photometric) == 6)
            segment, _, shape = page.decode(data, index, jpegtables=page.jpegtables)
        except BROKEN as error:
            raise _failed(self.path, error) from error
        if segment is None:
            return None
        part: NDArray[np.uint8] = segment[0, : shape[1], : shape[2]]
        return part


def slide_series(file: Any) -> Any:  # noqa: ANN401 - tifffile has no types
    """The series of pages that is the slide: the largest tiled one, else the largest; thumbnails may come first."""
    return max(
        file.series,
        key=lambda series: (
            series.levels[0].keyframe.is_tiled,
            series.levels[0].keyframe.imagewidth * series.levels[0].keyframe.imagelength,
        ),
    )


def _on_glass(piece: NDArray[np.uint8], page: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - a tifffile page
    """Colours without alpha: what is transparent was not scanned, and is white as empty glass is."""
    colour: NDArray[np.uint16] = piece[..., :-1].astype(np.uint16)
    alpha: NDArray[np.uint16] = piece[..., -1:].astype(np.uint16)
    kinds = [int(kind) for kind in page.extrasamples]
    if kinds and kinds[-1] == 0:  # a fourth channel that is no alpha
        return piece[..., :-1]
    if not kinds or kinds[-1] == 2:  # colours were not multiplied with alpha yet
        colour = (colour * alpha + 127) // 255
    mixed: NDArray[np.uint8] = np.minimum(colour + 255 - alpha, 255).astype(np.uint8)
    return mixed


def _failed(path: Path, error: Exception) -> ImageError:
    if "imagecodecs" in str(error):
        return ImageError(f"{path} is compressed in a way that needs one more package: pip install imagecodecs")
    return ImageError(f"{path} is damaged or cut short ({error}). Copy it again, or leave it out.")


def _check(path: Path, page: Any, series: Any) -> None:  # noqa: ANN401 - tifffile has no types
    if page.dtype != np.uint8 or page.bitspersample != 8:
        raise ImageError(f"{path} has {page.bitspersample} bits per channel ({page.dtype}). Save it as 8-bit RGB.")
    turned = page.tags.valueof(274, default=1)
    if turned not in (0, 1):
        raise ImageError(f"{path} is to be shown turned (its tag Orientation is {int(turned)}). Save it upright.")
    if page.samplesperpixel not in (1, 2, 3, 4) or int(page.photometric) in (3, 5) or page.imagedepth != 1:
        raise ImageError(f"{path} is not grey or RGB ({page.photometric!s}). Save it as 8-bit RGB.")
    if sum(axis not in "YXS" and length > 1 for axis, length in zip(series.axes, series.shape, strict=True)):
        raise ImageError(f"{path} has axes {series.axes} of {series.shape}. Save one plane, as 8-bit RGB.")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if max(ends, default=0) > page.parent.filehandle.size:
        raise ImageError(f"{path} is damaged or cut short ({CUT}). Copy it again, or leave it out.")
    wide, high = _piece_size(page)
    if min(wide, high, page.imagewidth, page.imagelength) < 1:
        size = f"{page.imagewidth} x {page.imagelength} px in pieces of {wide} x {high}"
        raise ImageError(f"{path} is damaged: its header says {size}. Copy it again, or leave it out.")
    pieces = -(-page.imagewidth // wide) * -(-page.imagelength // high)
    if pieces > len(page.dataoffsets):
        raise ImageError(
            f"{path} is damaged: its header says {page.imagewidth} x {page.imagelength} px, and it holds "
            f"{len(page.dataoffsets)} of {pieces} pieces. Copy it again, or leave it out."
        )
    if wide * high > MAX_PIECE_PX:
        raise ImageError(f"{path} is stored in pieces of {wide} x {high} px. Save it as a tiled TIFF.")


def _check_chain(file: Any) -> None:  # noqa: ANN401 - a tifffile file
    """Makes sure that every directory of the file is there; tifffile logs a missing one and forgets it.

    Raises:
        ValueError: if one is not.
    """
    handle, form = file.filehandle, file.tiff
    seen: set[int] = set()
    offset = file.pages.first.offset
    while offset and offset not in seen:
        seen.add(offset)
        handle.seek(offset)
        count = handle.read(form.tagnosize)
        if len(count) < form.tagnosize:
            raise ValueError(CUT)
        handle.seek(offset + form.tagnosize + struct.unpack(form.tagnoformat, count)[0] * form.tagsize)
        following = handle.read(form.offsetsize)
        if len(following) < form.offsetsize:
            raise ValueError(CUT)
        offset = struct.unpack(form.offsetformat, following)[0]


def _piece_size(page: Any) -> tuple[int, int]:  # noqa: ANN401 - a tifffile page
    if page.is_tiled:
        return int(page.tilewidth), int(page.tilelength)
    return int(page.imagewidth), int(min(page.rowsperstrip, page.imagelength))


def tiff_spacing(path: Path) -> Spacing:
    """What the header of a TIFF says, whoever decodes its pixels.

    Raises:
        ValueError: among the others of `BROKEN`, if it is no TIFF that can be read.
    """
    with tifffile.TiffFile(path) as file:
        return _stated(file)


def _stated(file: Any) -> Spacing:  # noqa: ANN401 - a tifffile file
    if file.is_ome:
        return stated_spacing(*_ome(file.ome_metadata))
    page = slide_series(file).levels[0].keyframe
    if file.is_svs:
        found = re.search(r"\|\s*MPP\s*=\s*([\d.,]+(?:[eE][+-]?\d+)?)", page.description)
        if found:
            mpp = float(found[1].replace(",", "."))
            return stated_spacing(mpp, mpp)
    ratios = [page.tags[name].value for name in ("XResolution", "YResolution") if name in page.tags]
    per_px = [ratio[1] / ratio[0] if ratio[0] else None for ratio in ratios]
    if len(per_px) < 2:
        return stated_spacing(None, None)
    if file.is_imagej:
        unit = UM.get(str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ"))
    else:
        tag = page.tags.get("ResolutionUnit")
        unit = PER_UNIT.get(int(tag.value) if tag is not None else 2)
    if unit is None:  # a ratio without a unit says nothing about size
        return stated_spacing(None, None)
    return stated_spacing(*(None if value is None else value * unit for value in per_px))


def _ome(text: str) -> tuple[float | None, float | None]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # OME needs neither, and entities can grow without end
        return None, None
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None, None
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None, None
    values = []
    for axis in "XY":
        unit = UM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        size = pixels.get(f"PhysicalSize{axis}")
        values.append(float(size) * unit if size and unit else None)
    return values[0], values[1]
