"""STAMP's tile features, whose coordinates are micrometres, and the older variants of them."""

from __future__ import annotations

import torch

from pathfuse.errors import StoreError
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contract import Match, SlideFeatures, Store
from pathfuse.store.formats.trident import number, squeezed
from pathfuse.store.rows import Arranged, Rows

KEYS = ("feats", "patch_embeddings", "features")
OLD_STRIDE_PX, OLD_TILE_UM = 224, 256.0
"""The oldest files name no unit: tiles of 256 micrometres are 224 pixels apart."""


class StampStore(Store):
    """Reads STAMP `<slide>.h5`: micrometres, top-left; also files with `tile_size`, and the oldest without a unit.

    Source: STAMP 2.5.0, `preprocessing`; older layouts as its reader accepts them.
    """

    source_format = "stamp"

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
