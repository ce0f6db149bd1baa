"""Writes features as CLAM does."""

from __future__ import annotations

from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.store.fitting import fitting
from pathfuse.system.files import replacing


def write_clam(root: Path, slide: str, features: Tensor, coords: Tensor, *, patch_size_level0: float) -> list[Path]:
    """Writes `h5_files`, `pt_files` and `patches` of a slide as CLAM's extraction and patching do.

    CLAM has no files for a slide without patches, so none are written.
    """
    if not len(features):
        return []
    values = fitting(features, torch.float32, root / slide)
    paths = [root / "h5_files" / f"{slide}.h5", root / "pt_files" / f"{slide}.pt", root / "patches" / f"{slide}.h5"]
    with replacing(paths[0], error=StoreError) as temporary, h5py.File(temporary, "w") as file:
        file["features"] = values.numpy()
        file["coords"] = coords.to(torch.int32).numpy()
    with replacing(paths[1], error=StoreError) as temporary:
        torch.save(values, temporary)
    with replacing(paths[2], error=StoreError) as temporary, h5py.File(temporary, "w") as file:
        places = file.create_dataset("coords", data=coords.to(torch.long).numpy())
        # Level 0, so that CLAM's own product of size and factor gives the level-0 size back.
        facts = {"patch_size": round(patch_size_level0), "patch_level": 0, "downsample": np.array([1.0, 1.0])}
        for name, value in {**facts, "name": slide, "save_path": str(root / "patches")}.items():
            places.attrs[name] = value
    return paths
