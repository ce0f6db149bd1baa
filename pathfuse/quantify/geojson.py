"""Measured patches as GeoJSON: squares with measurements, as QuPath reads and shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from pathfuse.slides.stain_amounts import Amounts
from pathfuse.system.files import write_text


def write_measurements(
    path: Path, slide_id: str, coords: NDArray[np.int64], size: int, patches: Sequence[Amounts]
) -> None:
    """Writes every patch as a tile with its amounts; corners are level-0 pixels."""
    features = [
        _tile(slide_id, number, x, y, size, one)
        for number, ((x, y), one) in enumerate(zip(coords.tolist(), patches, strict=True))
    ]
    write_text(path, json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False))


def _tile(slide_id: str, number: int, x: int, y: int, size: int, one: Amounts) -> dict[str, Any]:
    ring = [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_URL, f"pathfuse:stain:{slide_id}:{number}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "tile",
            "name": f"patch {number}",
            "measurements": {name: round(value, 6) for name, value in one.row().items()},
        },
    }
