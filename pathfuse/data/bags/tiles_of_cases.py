"""Finds the patches of all slides of a case table once, before any of them is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.data.bags.tiles import SlideTiles, tiles_of_grid, tiles_of_store
from pathfuse.data.bags.usable import bagged_cases
from pathfuse.errors import CaseTableError, listed
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.tissue import Tissue
from pathfuse.store import open_slide
from pathfuse.store.folder import SlideFiles, find_files
from pathfuse.system.progress import in_threads, progress_bar

Tiles = Mapping[str, tuple[SlideTiles, ...]]
Place = tuple[str, CaseFile]


@dataclass(frozen=True)
class TileTable:
    """Cases with the patches of every stain.

    Attributes:
        table: the cases that have a patch of any stain.
        slides: per case and stain, the slides with at least one patch, in table order.
    """

    table: CaseTable
    slides: Mapping[str, Tiles]

    def mpp(self, modality: str, size_px: int) -> float | None:
        """Micrometres per pixel of a stain's images, if it is the same for all."""
        of_stain = [slide for own in self.slides.values() for slide in own.get(modality, ())]
        known = {None if s.mpp is None else round(s.mpp * s.edge_level0 / size_px, 4) for s in of_stain}
        return known.pop() if len(known) == 1 else None


def place_tiles(
    table: CaseTable,
    modalities: Sequence[str],
    *,
    stores: Mapping[str, Path],
    grid: PatchGrid,
    rules: Mapping[str, Tissue],
    cache: Path,
    missing: Literal["error", "allow"] | None,
) -> TileTable:
    """Places the patches of every slide and checks the cohort.

    Args:
        table: the cases; their files are slides.
        modalities: stains to read.
        stores: per stain, a folder of feature files whose coordinates are taken; the others get a grid over tissue.
        grid: size and spacing of the patches.
        rules: per stain, how tissue is told from glass.
        cache: folder of places that were found before.
        missing: see `bagged_cases`.

    Raises:
        ImageError: for a slide that cannot be read.
        StoreError: for a feature file that cannot be used or does not fit its slide.
        CaseTableError: for a case or stain that lacks what is asked of it.
    """
    found = {modality: find_files(folder) for modality, folder in stores.items()}
    wanted = [(m, file) for case in table.cases for m in modalities for file in case.files.get(m, ())]

    placed: dict[Place, SlideTiles | None] = {}
    # One after another: the feature files that are kept open belong to no thread.
    for modality, file in (place for place in wanted if place[0] in found):
        placed[modality, file] = _of_store(file, found[modality], modality, grid)
    drawn = [place for place in wanted if place[0] not in found]

    def draw(place: Place) -> SlideTiles:
        modality, file = place
        return tiles_of_grid(file.path, mpp=file.mpp, grid=grid, rule=rules[modality], cache=cache)

    with progress_bar() as bar:
        tiles = bar.track(in_threads(draw, drawn), len(drawn), description="Finding patches")
        placed.update(zip(drawn, tiles, strict=True))
    lost = [f"{file.path.name} ({modality})" for modality, file in wanted if placed[modality, file] is None]
    if lost and len(lost) == len(wanted):
        raise CaseTableError(
            f"{table.origin.name}: no slide has a file in cohort.stores, first {lost[0]}. Feature files are "
            "named after their slides; correct the folders."
        )

    def slides_of(case: Case, modality: str) -> tuple[SlideTiles, ...]:
        several = [placed[modality, file] for file in case.files[modality]]
        return tuple(tiles for tiles in several if tiles is not None)

    kept, slides = bagged_cases(table, modalities, slides_of, missing=missing)
    notes = [f"{len(lost)} slides have no file in cohort.stores and are left out: {listed(lost)}."] if lost else []
    return TileTable(replace(kept, notes=(*kept.notes, *notes)), slides)


def _of_store(file: CaseFile, found: SlideFiles, modality: str, grid: PatchGrid) -> SlideTiles | None:
    name = file.path.stem
    # Of SLIDE.ome.tif some tools leave the name with .ome, and `pathfuse extract` without.
    paths = found.get(name, modality) or found.get(name.removesuffix(".ome"), modality)
    if not paths:
        return None
    return tiles_of_store(file.path, open_slide(paths[0], mpp=file.mpp), mpp=file.mpp, grid=grid)
