"""Features without any format: a bare array, or arrays with the usual names and no unit."""

from __future__ import annotations

from pathlib import Path

import torch

from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contract import SlideFeatures, Store

KEYS = ("", "features", "feats")


class TensorStore(Store):
    """Reads a bare (N, D) array: `.npy`, a torch tensor, or `features` in a dictionary or HDF5 file.

    The last resort: coordinates beside the features have no unit here, so they count as unknown.
    """

    source_format = "tensor"

    def match(self, contents: Contents) -> Match:
        """Any file with an array of a usual name."""
        return Match.FALLBACK if not contents.listed and any(key in contents.arrays for key in KEYS) else Match.NO

    def beside(self, path: Path) -> tuple[Path, ...]:
        """None: everything stands in the file."""
        return ()

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide."""
        key = next(key for key in KEYS if key in contents.arrays)
        there = "coords" in contents.arrays
        lacks = {"coords": "the unit of coords" if there else "array coords"}
        encoder = contents.attributes.get("encoder")
        return SlideFeatures(
            contents.path,
            contents.path.stem,
            contents.rows(key),
            self.source_format,
            encoder=None if encoder is None else str(encoder),
            lacks=lacks,
            facts=contents.attributes,
        )

    def example(self, folder: Path, slide: SlideFeatures) -> Path:
        """A bare tensor."""
        path = folder / f"{slide.slide_id}.pt"
        torch.save(slide.features.read(), path)
        return path
