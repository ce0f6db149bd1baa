"""Decodes image files to RGB, and says in one line what is wrong with one that cannot be used."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pathfuse.errors import ImageError

Pixels = npt.NDArray[np.uint8]

ORIENTATION = 0x0112  # the EXIF tag
PICTURE_PX = 512
"""Longest edge of a picture that is shown in a report."""

# What Pillow's readers raise on files that are cut short or damaged; PNG chunks end in SyntaxError.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_filters = Lock()  # warning filters are global to the process, and files may be opened in threads


def decode(path: Path) -> Pixels:
    """The image as RGB, (H, W, 3) uint8, turned as its EXIF says.

    Grey is repeated in all three channels; a palette is looked up; transparent parts become white, the colour of empty
    glass; 16 bits per channel keep the upper 8 (full range is assumed); CMYK is converted.

    Raises:
        ImageError: if the file is empty, cut short, damaged, no image, of a kind without a display range (32 bits per
            channel), or so large that it may be a decompression bomb.
    """
    with _opened(path) as image:
        if image.mode in ("I", "F") and image.format != "PNG":  # a PNG has 16 bits at most, whatever Pillow calls it
            raise ImageError(f"{path} has 32 bits per channel and no display range. Save it as 8-bit RGB.")
        return np.asarray(_rgb(ImageOps.exif_transpose(image)))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height from the header as the image is shown, without decoding.

    Raises:
        ImageError: if there is no readable header.
    """
    with _opened(path) as image:
        width, height = image.size
        # A camera stores how it was held; from 5 on, the picture lies on its side.
        return (height, width) if image.getexif().get(ORIENTATION, 1) >= 5 else (width, height)


def check_same_size(paths: Sequence[Path]) -> None:
    """Makes sure that the images of one case cover each other.

    Raises:
        ImageError: if one has another size than the first.
    """
    first = image_size(paths[0]) if len(paths) > 1 else (0, 0)
    for path in paths[1:]:
        size = image_size(path)
        if size != first:
            raise ImageError(
                f"{path} is {size[0]} x {size[1]} px, but its partner {paths[0]} is {first[0]} x {first[1]}. "
                "Cut both to the same field, or remove the pair."
            )


def picture_of(pixels: Pixels) -> Pixels:
    """A prepared image (3, H, W) as a picture to show, (h, w, 3), its longest edge at most `PICTURE_PX`."""
    image = np.ascontiguousarray(pixels.transpose(1, 2, 0))  # (H, W, 3)
    height, width, _ = image.shape
    scale = PICTURE_PX / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path} is empty (0 bytes). Copy it again, or remove the pair.")
        with _header(path) as image:
            yield image
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist. Restore it, or remove the pair.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is no image that can be read. Copy it again, or remove the pair.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path} has too many pixels for a patch. Cut it into patches.") from error
    except _BROKEN as error:
        raise ImageError(f"{path} is damaged or cut short ({error}). Copy it again, or remove the pair.") from error


def _header(path: Path) -> Image.Image:
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        upper = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(upper).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        glass = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(glass, layer).convert("RGB")
    return image.convert("RGB")
