"""Places of the patches of a slide: the coordinates of a feature file, or a grid over the tissue."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pathfuse.errors import ImageError, RunError, StoreError
from pathfuse.slides.grid import MAX_ENLARGEMENT, Coords, PatchGrid
from pathfuse.slides.opening import open_slide
from pathfuse.slides.slide import Slide
from pathfuse.slides.tissue import OVERVIEW_MPP, Tissue, tissue_mask
from pathfuse.store import SlideFeatures
from pathfuse.system.files import replacing

VERSION = 1
"""Raise it whenever the same slide and settings would give other places: cached places are named by it."""


@dataclass(frozen=True, eq=False)
class SlideTiles:
    """The patches of one slide, which are read when a batch wants them.

    Attributes:
        path: the slide.
        coords: (N, 2) top-left (x, y) in level-0 pixels.
        edge_level0: edge of a patch in level-0 pixels.
        mpp: micrometres per level-0 pixel; None if unknown, which only a feature file's patches may be.
    """

    path: Path
    coords: Coords
    edge_level0: float
    mpp: float | None

    def __len__(self) -> int:
        return len(self.coords)


def tiles_of_store(path: Path, features: SlideFeatures, *, mpp: float | None, grid: PatchGrid) -> SlideTiles:
    """The patches that a feature file describes.

    Args:
        path: the slide.
        features: of that slide; only their places are read.
        mpp: micrometres per level-0 pixel, where the slide does not say.
        grid: size and spacing of the patches, where the feature file does not say.

    Raises:
        ImageError: if the slide cannot be read, or its spacing is needed and unknown.
        StoreError: if the file has no coordinates, or some that lie beside the slide.
    """
    if not len(features):
        return SlideTiles(path, np.empty((0, 2), np.int64), 1.0, mpp)
    features.need("coords")
    stored = features.level0_coords()
    assert stored is not None
    coords: Coords = stored.numpy()
    with open_slide(path, mpp=mpp) as slide:
        edge = features.level0_patch_size
        if edge is None:
            edge = _edge(slide, grid)
        _refuse_outside(slide, features.path, coords, edge)
        return SlideTiles(path, coords, float(edge), slide.spacing.mpp or features.mpp)


def tiles_of_grid(path: Path, *, mpp: float | None, grid: PatchGrid, rule: Tissue, cache: Path) -> SlideTiles:
    """The patches on a grid that have enough tissue; found once for a slide and a grid, then read from the cache.

    Args:
        path: the slide.
        mpp: micrometres per level-0 pixel, where the slide does not say.
        grid: of the patches.
        rule: how tissue is told from glass.
        cache: folder of places that were found before.

    Raises:
        ImageError: if the slide cannot be read, or its spacing is unknown or too coarse.
    """
    with open_slide(path, mpp=mpp) as slide:
        edge = _edge(slide, grid)
        known = cache / f"{_digest(path, slide.mpp, grid, rule)}.npz"
        coords = _cached(known)
        if coords is None:
            spacing = max(OVERVIEW_MPP, slide.mpp)
            coords = grid.coords(slide, tissue_mask(slide.overview(spacing), spacing, rule))
            with replacing(known, error=RunError) as temporary, temporary.open("wb") as file:
                np.savez(file, coords=coords)  # an archive has a checksum, which reading it compares
        return SlideTiles(path, coords, float(edge), slide.mpp)


def _edge(slide: Slide, grid: PatchGrid) -> int:
    """Edge of a patch in level-0 pixels, with messages that name the options of data modules."""
    mpp, why = slide.spacing
    if mpp is None:
        raise ImageError(
            f"{slide.path} has no usable mpp ({why}). Give micrometres per level-0 pixel in column mpp of the case "
            "table, or for all slides with cohort.mpp."
        )
    if mpp > grid.mpp * MAX_ENLARGEMENT:
        raise ImageError(
            f"{slide.path} has {mpp:.4g} um per pixel, which is coarser than data.read_mpp {grid.mpp:g}. Set it to "
            f"{mpp:.3g} or more."
        )
    return grid.size_level0(slide)


def _refuse_outside(slide: Slide, stored_in: Path, coords: Coords, edge: float) -> None:
    """A patch may reach over the edge of its slide, where it is white; one that lies beside it belongs elsewhere."""
    width, height = slide.size
    beside = ((coords >= (width, height)) | (coords + edge <= 0)).any(axis=1)
    if beside.any():
        row = int(beside.argmax())
        x, y = coords[row].tolist()
        raise StoreError(
            f"{stored_in} row {row}: the patch at ({x}, {y}) lies outside {slide.path.name}, which has {width} x "
            f"{height} px. The features are of another slide, or their coordinates of another level; extract it again."
        )


def _digest(path: Path, mpp: float, grid: PatchGrid, rule: Tissue) -> str:
    state = path.stat()
    file = [str(path.absolute()), state.st_size, state.st_mtime_ns]
    return hashlib.sha256(json.dumps([VERSION, file, mpp, asdict(grid), rule.settings()]).encode()).hexdigest()[:32]


def _cached(path: Path) -> Coords | None:
    """Places that were found before; None where there are none, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            coords: Coords = archive["coords"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    return coords if coords.dtype == np.int64 and coords.ndim == 2 and coords.shape[1] == 2 else None
