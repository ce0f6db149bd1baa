"""CLAM's features: an HDF5 file without any attribute, and a bare tensor beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents, Found
from pathfuse.store.contents.hdf5 import read_hdf5
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.formats.trident import number, squeezed
from pathfuse.store.new_hdf5 import new_hdf5
from pathfuse.store.rows.tensors import fitting
from pathfuse.system.files import replacing

H5_FOLDER, PT_FOLDER, PATCHES = "h5_files", "pt_files", "patches"


class ClamStore(Store):
    """CLAM `h5_files/<slide>.h5` and `pt_files/<slide>.pt`: level-0 pixels, top-left.

    The files have no attributes. The patch size comes from CLAM's `patches/<slide>.h5` where that folder lies beside
    or above them; coordinates of a `.pt` come from its `h5_files` twin.

    Source: CLAM 2025-04, `create_patches_fp.py` and `extract_features_fp.py`.
    """

    source_format = "clam"

    def match(self, contents: Contents) -> Match:
        """`features` and `coords` without any attribute; or a bare tensor in `pt_files` with a twin in `h5_files`."""
        if contents.kind == "torch":
            return Match.LIKELY if set(contents.arrays) == {""} and _twin(contents.path).is_file() else Match.NO
        arrays = contents.arrays
        if contents.kind != "hdf5" or contents.attributes or set(arrays) != {"features", "coords"}:
            return Match.NO
        return Match.NO if any(array.attributes for array in arrays.values()) else Match.LIKELY

    def beside(self, path: Path) -> tuple[Path, ...]:
        """The twin of a `.pt`, and the places of its patches."""
        above = path.absolute().parents[1:3]
        return (_twin(path), *(folder / PATCHES / f"{path.stem}.h5" for folder in above))

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide."""
        if contents.kind == "torch":
            twin = self.read(read_hdf5(_twin(contents.path)))
            return replace(twin, path=contents.path, slide_id=contents.path.stem, features=contents.rows(""))
        features = contents.rows("features")
        coords = squeezed(contents.rows("coords"), len(features))
        patches = _patches(contents.path, len(coords))
        lacks = {"mpp": "CLAM stores none", "encoder": "CLAM stores none"}
        if patches is None:
            lacks["patch_size_level0"] = f"CLAM stores it in patches/{contents.path.name}, which is not beside it"
        return SlideFeatures(
            contents.path,
            contents.path.stem,
            features,
            self.source_format,
            coords_level0_px=coords,
            patch_size_level0=None if patches is None else level0_patch_size(patches),
            lacks=lacks,
            facts={} if patches is None else patches.attributes,
        )

    def write(self, slide: SlideFeatures, root: Path) -> Path:
        """Writes `h5_files`, `pt_files` and `patches`; needs coordinates and the patch size."""
        slide.need("coords")
        slide.need("patch_size_level0")
        coords, size = slide.level0_coords(), slide.level0_patch_size
        assert coords is not None and size is not None
        write_clam(root, slide.slide_id, slide.features.read(), coords, patch_size_level0=size)
        return root / H5_FOLDER / f"{slide.slide_id}.h5"


def write_clam(root: Path, slide: str, features: Tensor, coords: Tensor, *, patch_size_level0: float) -> list[Path]:
    """Writes `h5_files`, `pt_files` and `patches` of a slide as CLAM's extraction and patching do.

    CLAM has no files for a slide without patches, so none are written.
    """
    if not len(features):
        return []
    values = fitting(features, torch.float32, root / slide)
    paths = [root / H5_FOLDER / f"{slide}.h5", root / PT_FOLDER / f"{slide}.pt", root / PATCHES / f"{slide}.h5"]
    with replacing(paths[0], error=StoreError) as temporary, new_hdf5(temporary) as file:
        file["features"] = values.numpy()
        file["coords"] = coords.to(torch.int32).numpy()
    with replacing(paths[1], error=StoreError) as temporary:
        torch.save(values, temporary)
    with replacing(paths[2], error=StoreError) as temporary, new_hdf5(temporary) as file:
        places = file.create_dataset("coords", data=coords.to(torch.long).numpy())
        # Level 0, so that CLAM's own product of size and factor gives the level-0 size back.
        facts = {"patch_size": round(patch_size_level0), "patch_level": 0, "downsample": np.array([1.0, 1.0])}
        for name, value in {**facts, "name": slide, "save_path": str(root / PATCHES)}.items():
            places.attrs[name] = value
    return paths


def level0_patch_size(coords: Found) -> float | None:
    """The level-0 patch size that CLAM's patching used, from the attributes of its coordinates."""
    size, downsample = number(coords.attributes.get("patch_size")), number(coords.attributes.get("downsample"))
    if size is None or downsample is None:
        return None
    # CLAM truncates the factor itself when it places the patches; the true one would put them elsewhere.
    return size * int(downsample) * int(number(coords.attributes.get("custom_downsample")) or 1)


def _twin(path: Path) -> Path:
    return path.absolute().parent.parent / H5_FOLDER / f"{path.stem}.h5"


def _patches(path: Path, count: int) -> Found | None:
    for above in path.absolute().parents[1:3]:
        file = above / PATCHES / path.name
        if file.is_file():
            coords = read_hdf5(file).arrays.get("coords")
            if coords is not None and coords.shape[:1] != (count,):
                raise StoreError(f"{path} has {count} patches, but {file} has {coords.shape[0]}. Extract it again.")
            return coords
    return None
