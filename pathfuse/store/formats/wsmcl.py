"""WSMCL's features: a bare tensor, with another one of coordinates beside it."""

from __future__ import annotations

from pathlib import Path

import torch

from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contents.torch import read_torch
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.rows.rows import Arranged, Rows

SUFFIXES = ("_features", "_feature")
"""Its code opens the first, its README names the second."""


class WsmclStore(Store):
    """Reads WSMCL `<id>_features.pth` or `<id>_feature.pth`; coordinates from `<id>_coordinates.pth`, (row, col).

    Source: WSMCL 2024-08, README and data loader.
    """

    source_format = "wsmcl"

    def match(self, contents: Contents) -> Match:
        """A bare tensor has nothing to go by but the two suffixes."""
        bare = contents.kind == "torch" and set(contents.arrays) == {""} and not contents.listed
        named = contents.path.suffix == ".pth" and contents.path.stem.endswith(SUFFIXES)
        return Match.LIKELY if bare and named else Match.NO

    def beside(self, path: Path) -> tuple[Path, ...]:
        """The file of coordinates."""
        suffix = next((end for end in SUFFIXES if path.stem.endswith(end)), "")
        return (path.with_name(f"{path.stem.removesuffix(suffix)}_coordinates.pth"),) if suffix else ()

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide; `facts["suffix"]` says which of the two it was."""
        stem = contents.path.stem
        suffix = next(end for end in SUFFIXES if stem.endswith(end))
        slide_id = stem.removesuffix(suffix)
        coords = _coords(contents.path.with_name(f"{slide_id}_coordinates.pth"))
        lacks = {} if coords else {"coords": f"file {slide_id}_coordinates.pth"}
        return SlideFeatures(
            contents.path,
            slide_id,
            contents.rows(""),
            self.source_format,
            coords_level0_px=coords,
            lacks=lacks,
            facts={"suffix": suffix},
        )

    def example(self, folder: Path, slide: SlideFeatures) -> Path:
        """Two bare tensors."""
        coords = slide.level0_coords()
        assert coords is not None
        path = folder / f"{slide.slide_id}{SUFFIXES[0]}.pth"
        torch.save(slide.features.read(), path)
        torch.save(coords.flip(1), folder / f"{slide.slide_id}_coordinates.pth")
        return path


def _coords(path: Path) -> Rows | None:
    return Arranged(read_torch(path).rows(""), columns=(1, 0)) if path.is_file() else None
