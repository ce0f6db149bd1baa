"""Attention as files: a table per case and stain, and squares for QuPath."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from pathfuse.explain.attention import SlideAttention
from pathfuse.system.files import atomic_text

COLUMNS = ("slide_id", "patch", "x", "y", "patch_size_level0", "weight", "percentile")
MOST_SQUARES = 20_000
"""Patches of a slide that QuPath still shows without a wait; more are left to the table."""


def write_table(path: Path, slides: Sequence[SlideAttention]) -> None:
    """A row per patch of a case and stain, in the order of the bag; `patch` counts from 0 within a slide.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    with atomic_text(path) as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for one in slides:
            size = "" if one.slide.patch_size_level0 is None else f"{one.slide.patch_size_level0:g}"
            places = [("", "")] * len(one.weight) if one.places is None else one.places.tolist()
            # Nine digits bring a float32 back as it was.
            table.writerows(
                (one.slide.slide_id, patch, x, y, size, f"{weight:.9g}", f"{percentile:.3f}")
                for patch, ((x, y), weight, percentile) in enumerate(
                    zip(places, one.weight.tolist(), one.percentile.tolist(), strict=True)
                )
            )


def write_geojson(path: Path, one: SlideAttention) -> None:
    """The patches of a slide as squares that QuPath opens as tiles, with the measurement `attention`.

    QuPath counts from the part that was scanned, `SlideInfo.origin`; the table counts from the corner of the slide.

    Args:
        path: the file.
        one: a slide whose places and patch size are known.

    Raises:
        RunError: if the folder cannot be written to or the disk is full.
    """
    assert one.places is not None and one.slide.patch_size_level0
    edge = one.slide.patch_size_level0
    left, top = one.slide.origin
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_square(x - left, y - top, edge)]},
            "properties": {
                "objectType": "tile",
                "measurements": {"attention": weight, "attention percentile": round(percentile, 3)},
            },
        }
        for (x, y), weight, percentile in zip(
            one.places.tolist(), one.weight.tolist(), one.percentile.tolist(), strict=True
        )
    ]
    with atomic_text(path) as file:
        json.dump({"type": "FeatureCollection", "features": features}, file, allow_nan=False)


def _square(x: float, y: float, edge: float) -> list[list[float]]:
    right, below = x + edge, y + edge
    return [[x, y], [right, y], [right, below], [x, below], [x, y]]
