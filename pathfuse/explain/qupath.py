"""Scores of a slide for QuPath: its patches as tiles with measurements, in files of a size that QuPath opens fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pathfuse.explain.places import SlideScores
from pathfuse.system.files import atomic_text

MOST_TILES = 20_000
"""Tiles in one file; QuPath opens a file of them without a wait."""


def write_tiles(folder: Path, stem: str, measured: Mapping[str, SlideScores]) -> list[Path]:
    """Writes the patches of a slide as tiles, which QuPath opens and shows as measurement maps; returns the files.

    One file, or numbered ones where there are more than `MOST_TILES` patches: all may be dragged onto the slide, one
    after the other. QuPath counts from the part that was scanned, `SlideInfo.origin`; tables count from the corner of
    the slide.

    Args:
        folder: where they go.
        stem: their name without ending.
        measured: per measurement, the same slide with its scores; places and patch size are known.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    first = next(iter(measured.values()))
    assert first.places is not None and first.slide.patch_size_level0
    edge, (left, top) = first.slide.patch_size_level0, first.slide.origin
    corners = (first.places - (left, top)).tolist()
    columns = {name: one.score.tolist() for name, one in measured.items()}
    columns |= {f"{name} percentile": one.percentile.round(3).tolist() for name, one in measured.items()}
    starts = range(0, len(corners), MOST_TILES)
    paths = []
    for number, start in enumerate(starts, 1):
        path = folder / (f"{stem}.geojson" if len(starts) == 1 else f"{stem}.{number}of{len(starts)}.geojson")
        rows = range(start, min(start + MOST_TILES, len(corners)))
        features = [_tile(corners[row], edge, {name: values[row] for name, values in columns.items()}) for row in rows]
        with atomic_text(path) as file:
            # Not json.dump, which writes number by number: ten times as slow.
            file.write(json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False))
        paths.append(path)
    return paths


def _tile(corner: list[float], edge: float, measurements: dict[str, float]) -> dict[str, object]:
    x, y = corner
    right, below = x + edge, y + edge
    ring = [[x, y], [right, y], [right, below], [x, below], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "tile", "measurements": measurements},
    }
