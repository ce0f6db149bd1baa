"""A store of features as a table of text: x, y, and one column per feature."""

from pathlib import Path

import numpy as np
import torch

from pathfuse.errors import StoreError
from pathfuse.store import Contents, Match, MemoryRows, SlideFeatures, Store

FIRST = "#tinyformat x y"


class TinyStore(Store):
    """Reads and writes `.tsv` files."""

    source_format, suffixes = "tinyformat", (".tsv",)

    def match(self, contents: Contents) -> Match:
        """By its first words."""
        with contents.path.open("rb") as file:
            return Match.CERTAIN if file.read(len(FIRST)) == FIRST.encode() else Match.NO

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide."""
        try:
            rows = torch.from_numpy(np.loadtxt(contents.path, np.float32, ndmin=2))
        except ValueError as error:
            raise StoreError(f"{contents.path} is damaged ({error}). Copy it again.") from error
        places = MemoryRows(rows[:, :2].long())
        return SlideFeatures(contents.path, contents.path.stem, MemoryRows(rows[:, 2:]), self.source_format, places)

    def write(self, slide: SlideFeatures, root: Path) -> Path:
        """One file for a slide; returns it."""
        slide.need("coords")  # refuses one without, in one line
        coords = slide.level0_coords()
        assert coords is not None
        table = torch.cat([coords.float(), slide.features.read().float()], dim=1)
        root.mkdir(exist_ok=True)
        path = root / f"{slide.slide_id}.tsv"
        np.savetxt(path, table.numpy(), header=FIRST[1:], comments="#")
        return path
