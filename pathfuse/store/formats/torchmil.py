"""torchmil's processed bags: a folder per role, one file per bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contents.hdf5 import read_hdf5
from pathfuse.store.contents.npy import read_npy
from pathfuse.store.contract import SlideFeatures, Store

COORDS = ("coords", "coordinates", "coords_path")


class TorchmilStore(Store):
    """Reads torchmil `features/<bag>.npy` or `.h5` with the coordinates of `coords/<bag>`.

    torchmil stores coordinates as they are given to it, in any unit, so they count as unknown.

    Source: torchmil 1.0.1, `ProcessedMILDataset`.
    """

    source_format = "torchmil"

    def match(self, contents: Contents) -> Match:
        """One array, and a file of the same name in a sister folder of coordinates."""
        alone = set(contents.arrays) == ({"features"} if contents.kind == "hdf5" else {""})
        plain = contents.kind in ("hdf5", "npy") and alone and not contents.attributes
        return Match.LIKELY if plain and _coords_file(contents.path) is not None else Match.NO

    def beside(self, path: Path) -> tuple[Path, ...]:
        """The file of coordinates, under each of its names."""
        return tuple(_places(path))

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide; coordinates must at least be as many as the features."""
        features = contents.rows("features" if contents.kind == "hdf5" else "")
        file = _coords_file(contents.path)
        lacks = {"coords": "the unit, which torchmil does not store"}
        slide = SlideFeatures(contents.path, contents.path.stem, features, self.source_format, lacks=lacks)
        if file is not None:
            beside = read_npy(file).rows("") if file.suffix == ".npy" else read_hdf5(file).rows("coords")
            # Made only to be checked: the constructor refuses different lengths.
            SlideFeatures(contents.path, contents.path.stem, features, self.source_format, coords_um=beside)
        return slide

    def example(self, folder: Path, slide: SlideFeatures) -> Path:
        """One array in each of two folders."""
        coords = slide.level0_coords()
        assert coords is not None
        for name, values in (("features", slide.features.read()), ("coords", coords)):
            (folder / name).mkdir()
            np.save(folder / name / f"{slide.slide_id}.npy", values.numpy())
        return folder / "features" / f"{slide.slide_id}.npy"


def _coords_file(path: Path) -> Path | None:
    return next((file for file in _places(path) if file.is_file()), None)


def _places(path: Path) -> list[Path]:
    return [path.absolute().parent.parent / name / path.name for name in COORDS]
