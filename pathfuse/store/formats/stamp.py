"""STAMP's tile features, whose coordinates are micrometres, and the older variants of them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.formats.trident import number, squeezed
from pathfuse.store.new_hdf5 import new_hdf5
from pathfuse.store.rows.rows import Arranged, Rows
from pathfuse.store.rows.tensors import fitting
from pathfuse.system.files import replacing

KEYS = ("feats", "patch_embeddings", "features")
OLD_STRIDE_PX, OLD_TILE_UM = 224, 256.0
"""The oldest files name no unit: tiles of 256 micrometres are 224 pixels apart."""

STAMP_VERSION = "2.0.0"
"""Named in files that we write: STAMP refuses a version above its own, and every 2.x reads this layout."""


class StampStore(Store):
    """STAMP `<slide>.h5`: micrometres, top-left; also files with `tile_size`, and the oldest without a unit.

    Source: STAMP 2.5.0, `preprocessing`; older layouts as its reader accepts them.
    """

    source_format = "stamp"
    alone = True

    def match(self, contents: Contents) -> Match:
        """By `stamp_version`, `feats`, `patch_embeddings`, or `unit` = "um"."""
        if contents.kind != "hdf5" or not any(key in contents.arrays for key in KEYS):
            return Match.NO
        facts = contents.attributes
        if "stamp_version" in facts or facts.get("unit") == "um":
            return Match.CERTAIN
        return Match.LIKELY if set(KEYS[:2]) & set(contents.arrays) else Match.NO

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide; slide- and patient-level files are refused."""
        facts = contents.attributes
        level = facts.get("feat_type", "tile")
        key = next(key for key in KEYS if key in contents.arrays)
        flat = len(contents.arrays[key].shape) == 1 and contents.arrays[key].shape[0] > 0
        if level != "tile" or flat:
            raise StoreError(
                f"{contents.path} holds features of a {level if level != 'tile' else 'slide'}, not of tiles. Give the "
                "folder that STAMP's preprocessing wrote."
            )
        features = contents.rows(key)
        lacks = {"mpp": "STAMP stores the size of a tile in micrometres, not the slide's mpp"}
        coords, tile_um = None, number(facts.get("tile_size_um")) or number(facts.get("tile_size"))
        if "coords" not in contents.arrays:
            lacks["coords"] = "array coords"
        elif facts.get("unit") == "um":
            coords = squeezed(contents.rows("coords"), len(features))
        else:
            coords, tile_um = _oldest(squeezed(contents.rows("coords"), len(features)))
            lacks["coords"] = "attribute unit"
        if tile_um is None:
            lacks["patch_size_level0"] = "attribute tile_size_um"
        encoder = facts.get("extractor")
        return SlideFeatures(
            contents.path,
            contents.path.stem,
            features,
            self.source_format,
            coords_um=coords,
            patch_size_um=tile_um,
            encoder=None if encoder is None else str(encoder),
            lacks=lacks,
            facts=facts,
        )

    def write(self, slide: SlideFeatures, root: Path) -> Path:
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


def write_stamp(
    path: Path, features: Tensor, coords_um: Tensor, *, tile_size_um: float, tile_size_px: int, encoder: str | None
) -> None:
    """Writes `<slide>.h5` as STAMP's preprocessing does: float16 features, float32 coordinates in micrometres."""
    values = fitting(features, torch.float16, path)
    facts = {
        "stamp_version": STAMP_VERSION, "extractor": encoder or "unknown", "unit": "um",
        "tile_size_um": float(tile_size_um), "tile_size_px": int(tile_size_px), "code_hash": "", "feat_type": "tile",
    }  # fmt: skip
    with replacing(path, error=StoreError) as temporary, new_hdf5(temporary) as file:
        file["coords"] = coords_um.to(torch.float32).numpy()
        file["feats"] = values.numpy()
        for name, value in facts.items():
            file.attrs[name] = value


def _oldest(coords: Rows) -> tuple[Rows | None, float | None]:
    """Coordinates without a unit are pixels of 256/224 micrometres if the tiles are 224 apart; else nobody knows."""
    if stride(coords.read()) == OLD_STRIDE_PX:
        return Arranged(coords, factor=OLD_TILE_UM / OLD_STRIDE_PX), OLD_TILE_UM
    return None, None


def stride(coords: torch.Tensor) -> float | None:
    """The smallest step between different x or y; None if there is none."""
    steps = [torch.diff(torch.unique(column)) for column in coords.double().T]
    known = [float(step.min()) for step in steps if len(step)]
    return min(known) if known else None
