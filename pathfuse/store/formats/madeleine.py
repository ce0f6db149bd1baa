"""MADELEINE's features: one array and nothing else."""

from __future__ import annotations

from pathlib import Path

from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.new_hdf5 import new_hdf5


class MadeleineStore(Store):
    """Reads MADELEINE `<slide>_<STAIN>[_<split>].h5`: `features` alone, (N, D), (1, N, D) or one patch as (D,).

    Which stain and slide it is, says the cohort's table; see `stores` of `PairedBags`.

    Source: MADELEINE 2025-02.
    """

    source_format = "madeleine"
    alone = True

    def match(self, contents: Contents) -> Match:
        """An HDF5 file with `features` and nothing else."""
        alone = contents.kind == "hdf5" and set(contents.arrays) == {"features"} and not contents.attributes
        return Match.POSSIBLE if alone else Match.NO

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide."""
        lacks = {"coords": "array coords"}
        rows = contents.rows("features")
        return SlideFeatures(contents.path, contents.path.stem, rows, self.source_format, lacks=lacks)

    def example(self, folder: Path, slide: SlideFeatures) -> Path:
        """`features` alone."""
        path = folder / f"{slide.slide_id}_HE.h5"
        with new_hdf5(path) as file:
            file["features"] = slide.features.read().numpy()
        return path
