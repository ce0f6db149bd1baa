"""The work of the reading processes: find tissue, place patches, decode them. No torch here."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
from PIL import Image

from pathfuse.errors import StoreError
from pathfuse.extract.layout import Layout
from pathfuse.extract.processes import Processes
from pathfuse.extract.sources import SlideSource
from pathfuse.slides.grid import Coords, PatchGrid
from pathfuse.slides.normalise import Normaliser, normalised
from pathfuse.slides.opening import open_slide
from pathfuse.slides.outline import contour_picture, outlines, write_geojson
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide
from pathfuse.slides.tissue import OVERVIEW_MPP, Tissue, tissue_mask
from pathfuse.system.files import replacing

P = ParamSpec("P")
R = TypeVar("R")
Read = TypeVar("Read", covariant=True)


class Pending(Protocol[Read]):
    """Something that is being read."""

    def result(self) -> Read:
        """Waits for it."""
        ...

    def cancel(self) -> bool:
        """Says that nobody wants it any more."""
        ...


class Reading(Protocol):
    """Whoever decodes."""

    workers: int

    def submit(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Pending[R]:
        """Has a call done."""
        ...

    def restart(self) -> None:
        """Goes on after one of those who read has died."""
        ...


@dataclass(frozen=True)
class SlidePlan:
    """Where the patches of a slide are.

    Attributes:
        coords: (N, 2) top-left in level-0 pixels.
        mpp: micrometres per level-0 pixel.
        size_level0: edge of a patch in level-0 pixels.
        step_level0: distance of neighbours.
        width: of the slide, in level-0 pixels.
        height: of the slide.
        note: why there are no patches, if there are none.
        reader: name of the reader that opened the slide.
        origin: where viewers begin to count; see `Slide.origin`.
    """

    coords: Coords
    mpp: float
    size_level0: int
    step_level0: int
    width: int
    height: int
    note: str = ""
    reader: str = ""
    origin: tuple[int, int] = (0, 0)


def plan_slide(source: SlideSource, layout: Layout, rule: Tissue) -> SlidePlan:
    """Finds the tissue of a slide, writes its pictures and polygons, and places the patches.

    Raises:
        ImageError: if the slide cannot be read, or its spacing is unknown or too coarse.
        StoreError: if the pictures cannot be written.
        PluginError: if the rule keeps its contract not.
    """
    slide, grid = _opened(source), layout.grid
    size = grid.size_level0(slide)  # refuses an unknown spacing before anything is read
    mpp = max(OVERVIEW_MPP, slide.mpp)
    overview = slide.overview(mpp)
    mask = tissue_mask(overview, mpp, rule)
    height, width = mask.shape
    scale = (slide.size[0] / width, slide.size[1] / height)
    pieces = outlines(mask, scale)
    with replacing(layout.geojson(source.slide_id), error=StoreError) as path:
        write_geojson(path, pieces, slide_id=source.slide_id, mpp=slide.mpp, origin=slide.origin)
    _save(Image.fromarray(overview), layout.thumbnail(source.slide_id))
    coords = grid.coords(slide, mask)
    _save(contour_picture(overview, pieces, scale, patches=coords, edge=size), layout.contours(source.slide_id))
    note, step = _note(coords, slide, mask, size), grid.step_level0(slide)
    return SlidePlan(coords, slide.mpp, size, step, *slide.size, note=note, reader=slide.reader, origin=slide.origin)


def _note(coords: Coords, slide: Slide, mask: np.ndarray, size: int) -> str:
    if len(coords):
        return ""
    if min(slide.size) < size:
        return f"the slide is smaller than one patch ({size} level-0 px)"
    return "no patch has enough tissue" if mask.any() else "no tissue found"


def _save(picture: Image.Image, path: Path) -> None:
    with replacing(path, error=StoreError) as temporary:
        picture.save(temporary, format="JPEG", quality=85)


def read_patches(
    source: SlideSource, grid: PatchGrid, coords: Coords, size_level0: int, normaliser: Normaliser | None = None
) -> Pixels:
    """Patches (N, size_px, size_px, 3) of one slide, each normalised by its own colours.

    Raises:
        ImageError: if they cannot be decoded.
    """
    patches = _opened(source).read_patches(coords, size_level0, grid.size_px)
    if normaliser is not None:
        for patch in patches:
            patch[...] = normalised(patch, normaliser)
    return patches


class _Open:
    """The slide that this process read last; OpenSlide keeps decoded tiles while it is open."""

    key: object = None
    slide: Slide | None = None


_last = _Open()


def _opened(source: SlideSource) -> Slide:
    try:
        stamp = os.stat(source.path).st_mtime_ns
    except OSError:
        stamp = -1  # gone: opening it again says so
    key = (source, stamp)
    if _last.slide is None or _last.key != key or stamp < 0:
        close_slides()
        _last.slide, _last.key = open_slide(source.path, mpp=source.mpp, reader=source.reader), key
    return _last.slide


def close_slides() -> None:
    """Closes the slide that this process holds open."""
    if _last.slide is not None:
        _last.slide.close()
    _last.slide = None


class Readers:
    """Processes that decode while the network computes; with 0, a thread of this process.

    Args:
        workers: number of processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: Executor = self._start()

    def submit(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Has a call done by one of them."""
        return self._pool.submit(call, *args, **kwargs)

    def restart(self) -> None:
        """New processes, after one has died."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    def close(self) -> None:
        """Ends them without waiting for work that nobody wants any more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        close_slides()

    def _start(self) -> Executor:
        if not self.workers:
            return ThreadPoolExecutor(1, thread_name_prefix="pathfuse-read")
        return Processes(self.workers)
