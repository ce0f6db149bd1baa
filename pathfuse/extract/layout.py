"""The folders of an extraction, as TRIDENT has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pathfuse.slides.grid import PatchGrid

OBJECTIVE = 10.0  # micrometres per pixel times magnification, as everybody counts it


@dataclass(frozen=True)
class Layout:
    """The files of one extraction.

    Attributes:
        root: the folder that the user named.
        grid: size and spacing of patches; names the folder.
        encoder: name of the encoder; names the folder.
    """

    root: Path
    grid: PatchGrid
    encoder: str

    def absolute(self) -> Layout:
        """The same files, from whatever folder they are written."""
        kind, colon, folder = self.encoder.partition(":")
        here = f"{kind}:{Path(folder).expanduser().resolve()}" if colon and kind == "local-dir" else self.encoder
        return Layout(self.root.absolute(), self.grid, here)

    @property
    def job(self) -> Path:
        """`20x_256px_0px_overlap`."""
        magnification = f"{magnification_of(self.grid.mpp):g}x"
        return self.root / f"{magnification}_{self.grid.size_px}px_{self.grid.overlap_px}px_overlap"

    @property
    def features_folder(self) -> Path:
        """`features_<encoder>`."""
        return self.job / f"features_{folder_name(self.encoder)}"

    @property
    def status(self) -> Path:
        """The table of what became of every slide."""
        return self.features_folder / "status.csv"

    def features(self, slide_id: str) -> Path:
        """The features of a slide."""
        return self.features_folder / f"{slide_id}.h5"

    def patches(self, slide_id: str) -> Path:
        """The coordinates of a slide."""
        return self.job / "patches" / f"{slide_id}_patches.h5"

    def thumbnail(self, slide_id: str) -> Path:
        """A small picture of a slide."""
        return self.root / "thumbnails" / f"{slide_id}.jpg"

    def contours(self, slide_id: str) -> Path:
        """A picture of a slide with its tissue outlined."""
        return self.root / "contours" / f"{slide_id}.jpg"

    def geojson(self, slide_id: str) -> Path:
        """The tissue as polygons."""
        return self.root / "contours_geojson" / f"{slide_id}.geojson"

    def lock(self, slide_id: str) -> Path:
        """The lock of a slide, whatever is extracted from it."""
        return self.root / ".locks" / f"{slide_id}.lock"


def magnification_of(mpp: float) -> float:
    """The objective that a spacing is called after, to three digits: 0.5 is 20."""
    return float(f"{OBJECTIVE / mpp:.3g}")


def folder_name(encoder: str) -> str:
    """An encoder's name as part of a folder's: without its kind, and nothing that a file system minds."""
    kind, colon, rest = encoder.partition(":")
    name = encoder
    if colon and kind == "timm":
        name = rest
    elif colon and kind == "local-dir":
        name = Path(rest).expanduser().resolve().name
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "encoder"
