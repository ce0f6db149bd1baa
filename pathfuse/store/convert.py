"""Writes a slide of any format in another one; what the target needs and nobody knows is refused, never invented."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pathfuse.errors import StoreError
from pathfuse.store.contents.contents import Fact
from pathfuse.store.contract import SlideFeatures
from pathfuse.store.formats.clam_write import write_clam
from pathfuse.store.formats.eva_write import write_eva
from pathfuse.store.formats.stamp_write import write_stamp
from pathfuse.store.formats.trident import number
from pathfuse.store.formats.trident_write import write_trident

COORDS_FACTS = ("overlap", "level0_magnification", "target_magnification", "level0_width", "level0_height")


def to_trident(slide: SlideFeatures, root: Path) -> Path:
    """Writes `<slide>.h5` in the TRIDENT layout with our attributes; needs coordinates and the patch size."""
    slide.need("coords")
    slide.need("patch_size_level0")
    coords = slide.level0_coords()
    assert coords is not None
    path = root / f"{slide.slide_id}.h5"
    facts = {name: slide.facts[name] for name in COORDS_FACTS if name in slide.facts}
    root_facts: dict[str, Fact] = {"source": f"converted from {slide.source_format} file {slide.path.name}"}
    if slide.modality is not None:
        root_facts["modality"] = slide.modality
    size = number(slide.facts.get("patch_size")) or number(slide.facts.get("tile_size_px"))
    write_trident(
        path,
        slide.features.read(),
        coords,
        encoder=slide.encoder,
        patch_size=None if size is None else round(size),
        patch_size_level0=slide.level0_patch_size,
        mpp=slide.mpp,
        coords_attributes=facts,
        attributes=root_facts,
    )
    return path


def to_clam(slide: SlideFeatures, root: Path) -> Path:
    """Writes `h5_files`, `pt_files` and `patches`; needs coordinates and the patch size."""
    slide.need("coords")
    slide.need("patch_size_level0")
    coords, size = slide.level0_coords(), slide.level0_patch_size
    assert coords is not None and size is not None
    write_clam(root, slide.slide_id, slide.features.read(), coords, patch_size_level0=size)
    return root / "h5_files" / f"{slide.slide_id}.h5"


def to_stamp(slide: SlideFeatures, root: Path) -> Path:
    """Writes `<slide>.h5` in micrometres; needs them, or mpp, and the size of a tile in both units."""
    coords, tile_um = slide.um_coords(), slide.um_patch_size
    if coords is None or tile_um is None:
        slide.need("coords")
        slide.need("mpp")
        slide.need("patch_size_level0")
    tile_px = number(slide.facts.get("tile_size_px")) or number(slide.facts.get("patch_size"))
    if tile_px is None:
        raise StoreError(
            f"{slide.path} does not say how many pixels a patch had for the encoder, which STAMP stores as "
            "tile_size_px. Start from the TRIDENT files."
        )
    assert coords is not None and tile_um is not None
    path = root / f"{slide.slide_id}.h5"
    features = slide.features.read()
    write_stamp(path, features, coords, tile_size_um=tile_um, tile_size_px=round(tile_px), encoder=slide.encoder)
    return path


def to_eva(slide: SlideFeatures, root: Path) -> Path:
    """Writes `<slide>.pt`, one stacked tensor; the manifest comes when all slides are there."""
    path = root / f"{slide.slide_id}.pt"
    write_eva(path, slide.features.read())
    return path


WRITERS: dict[str, Callable[[SlideFeatures, Path], Path]] = {
    "trident": to_trident,
    "clam": to_clam,
    "stamp": to_stamp,
    "eva": to_eva,
}
