"""Writes features as STAMP does."""

from __future__ import annotations

from pathlib import Path

import h5py  # type: ignore[import-untyped]
import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.store.fitting import fitting
from pathfuse.system.files import replacing

STAMP_VERSION = "2.0.0"
"""Named in files that we write: STAMP refuses a version above its own, and every 2.x reads this layout."""


def write_stamp(
    path: Path, features: Tensor, coords_um: Tensor, *, tile_size_um: float, tile_size_px: int, encoder: str | None
) -> None:
    """Writes `<slide>.h5` as STAMP's preprocessing does: float16 features, float32 coordinates in micrometres."""
    values = fitting(features, torch.float16, path)
    facts = {
        "stamp_version": STAMP_VERSION, "extractor": encoder or "unknown", "unit": "um",
        "tile_size_um": float(tile_size_um), "tile_size_px": int(tile_size_px), "code_hash": "", "feat_type": "tile",
    }  # fmt: skip
    with replacing(path, error=StoreError) as temporary, h5py.File(temporary, "w") as file:
        file["coords"] = coords_um.to(torch.float32).numpy()
        file["feats"] = values.numpy()
        for name, value in facts.items():
            file.attrs[name] = value
