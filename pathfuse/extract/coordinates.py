"""Coordinates of the patches of a slide, as a file beside the features and as attributes in both."""

from __future__ import annotations

from pathfuse.errors import StoreError
from pathfuse.extract.layout import Layout, magnification_of
from pathfuse.extract.reading import SlidePlan
from pathfuse.slides.grid import PatchGrid
from pathfuse.store.new_hdf5 import new_hdf5
from pathfuse.system.files import replacing


def coords_attributes(grid: PatchGrid, plan: SlidePlan) -> dict[str, int | float]:
    """What TRIDENT writes with coordinates, besides the size of a patch."""
    left, top = plan.origin
    bounds = {"bounds_x": left, "bounds_y": top} if left or top else {}
    return {
        **bounds,
        "level0_magnification": magnification_of(plan.mpp),
        "target_magnification": magnification_of(grid.mpp),
        "overlap": grid.overlap_px,
        "level0_width": plan.width,
        "level0_height": plan.height,
    }


def write_patches(layout: Layout, slide_id: str, plan: SlidePlan) -> None:
    """Writes `patches/<slide>_patches.h5`.

    Raises:
        StoreError: if it cannot be written.
    """
    path, grid = layout.patches(slide_id), layout.grid
    with replacing(path, error=StoreError) as temporary, new_hdf5(temporary) as file:
        coords = file.create_dataset("coords", data=plan.coords)
        sizes = {"patch_size": grid.size_px, "patch_size_level0": plan.size_level0}
        facts = {**sizes, **coords_attributes(grid, plan), "name": slide_id, "savetodir": str(path.parent)}
        for name, value in facts.items():
            coords.attrs[name] = value
        file.attrs["mpp"] = plan.mpp
