"""Finds the reader of a slide file among those that are registered."""

from __future__ import annotations

import math
from pathlib import Path

from pathfuse.errors import ImageError, PluginError
from pathfuse.registry import READERS, not_working, note_use, surest, working
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.slide import Slide
from pathfuse.slides.spacing import Spacing, given_spacing

MAX_EDGE_PX = 1 << 23  # at 0.1 micrometres per pixel that is 84 cm, and no scanner takes such a slide


def open_slide(path: Path | str, *, mpp: float | None = None, reader: str | None = None) -> Slide:
    """Opens a slide.

    Args:
        path: of any format that a registered reader knows; ours know those of OpenSlide, TIFF, OME-TIFF, PNG and JPEG.
        mpp: micrometres per level-0 pixel; overrides what the file states.
        reader: name of the reader; None takes the one that is surest.

    Raises:
        ImageError: if it cannot be read, or its reader is not installed.
        PluginError: if nobody registered the reader, or it returns no slide.
    """
    path = Path(path)
    spacing = Spacing(None) if mpp is None else given_spacing(path, mpp)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ImageError(f"{path} does not exist or cannot be read. Correct the path, or leave it out.") from error
    if not (path.is_file() or path.is_dir()):
        raise ImageError(f"{path} is a pipe or a device and no regular file. Name a slide.")
    if size == 0 or path.is_dir():
        raise ImageError(f"{path} is {'a folder' if size else 'empty (0 bytes)'}, no slide. Copy it again.")
    name, found = _reader(path, reader)
    slide = found.open(path, spacing)
    if not isinstance(slide, Slide):
        raise PluginError(f"{name}.open returns a {type(slide).__name__}, and has to return a Slide. Repair it.")
    if wrong := _impossible(slide):
        slide.close()
        raise ImageError(f"{path} is damaged or no slide ({wrong}). Copy it again, or leave it out.")
    slide.reader = name
    note_use(READERS.component(name))
    return slide


def slide_suffixes() -> frozenset[str]:
    """The suffixes of slide files, in lower case, of all readers that work."""
    known, _ = working(READERS, SlideReader)
    return frozenset().union(*(reader.suffixes for reader in known.values()))


def _impossible(slide: Slide) -> str:
    """Why the sizes that a header states cannot be; empty where they can."""
    if not slide.levels:
        return "it has no image"
    for number, (width, height, downsample) in enumerate(slide.levels):
        if not (0 < width <= MAX_EDGE_PX and 0 < height <= MAX_EDGE_PX):
            return f"level {number} would be {width} x {height} px"
        if not 0 < downsample < math.inf:
            return f"level {number} would be {downsample} times coarser than level 0"
    return ""


def _reader(path: Path, asked: str | None) -> tuple[str, SlideReader]:
    known, _ = working(READERS, SlideReader)
    if asked is not None:
        component = READERS.component(asked)
        component.load()  # says why it does not work, if it does not
        return component.name, known[component.name]
    names = surest(known, lambda reader: reader.match(path))
    if not names:
        advice = "Convert it to a pyramidal TIFF, or leave it out."
        raise ImageError(f"{path} is no slide of a known format. {advice}{not_working(READERS, SlideReader)}")
    if len(names) > 1:
        raise ImageError(f"{path} is claimed by the readers {' and '.join(names)} alike. Name one of them.")
    return names[0], known[names[0]]
