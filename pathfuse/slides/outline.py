"""Tissue as polygons: GeoJSON for QuPath, and a picture with the contours to look at."""

# mypy: disable-error-code="no-untyped-call"
# scikit-image ships annotations for a part of its functions only.

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.measure import find_contours, label, regionprops

from pathfuse.slides.resample import Pixels
from pathfuse.slides.tissue import Mask

Ring = NDArray[np.float64]  # (K, 2) x and y, the first point repeated at the end

GREEN = (0, 160, 60)
BLUE = (0, 60, 220)
GREY = (110, 110, 110)
THUMBNAIL_PX = 1600


class Outline(NamedTuple):
    """One piece of tissue in level-0 pixels."""

    outer: Ring
    holes: tuple[Ring, ...]


def outlines(mask: Mask, scale: tuple[float, float]) -> list[Outline]:
    """The pieces of a mask as polygons with holes, simple and closed, largest first.

    Args:
        mask: (H, W).
        scale: level-0 pixels per mask pixel, across and down.
    """
    pieces = sorted(regionprops(label(mask, connectivity=1)), key=lambda piece: -piece.area)
    return [_outline(piece.image, piece.bbox[:2], scale) for piece in pieces]


def _outline(piece: Mask, corner: tuple[int, int], scale: tuple[float, float]) -> Outline:
    # Padding closes the rings at the edge of the picture; "low" keeps rings apart where pixels touch at a corner.
    rings = find_contours(np.pad(piece, 1).astype(np.float32), 0.5, fully_connected="low")
    # Contours run through pixel centres, which lie half a pixel inside; -1 for the padding.
    placed = [(ring[:, ::-1] + 0.5 - 1 + corner[::-1]) * scale for ring in rings]
    outer = max(range(len(placed)), key=lambda index: abs(_area(placed[index])))
    return Outline(placed[outer], tuple(ring for index, ring in enumerate(placed) if index != outer))


def _area(ring: Ring) -> float:
    x, y = ring.T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def write_geojson(
    path: Path, pieces: list[Outline], *, slide_id: str, mpp: float, origin: tuple[int, int] = (0, 0)
) -> None:
    """Writes the pieces as QuPath annotations in level-0 pixels; see `geojson`."""
    content = geojson(pieces, slide_id=slide_id, mpp=mpp, origin=origin)
    path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def geojson(pieces: list[Outline], *, slide_id: str, mpp: float, origin: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """A FeatureCollection by QuPath's reading rules: one annotation per piece of tissue.

    Args:
        pieces: in level-0 pixels of the whole slide.
        slide_id: its name.
        mpp: micrometres per level-0 pixel.
        origin: where QuPath begins to count, `Slide.origin`.
    """
    features = []
    for number, piece in enumerate(pieces):
        area = abs(_area(piece.outer)) - sum(abs(_area(hole)) for hole in piece.holes)
        features.append(
            {
                "type": "Feature",
                "id": str(uuid5(NAMESPACE_URL, f"pathfuse:tissue:{slide_id}:{number}")),
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [(ring - origin).round(2).tolist() for ring in (piece.outer, *piece.holes)],
                },
                "properties": {
                    "objectType": "annotation",
                    "name": f"tissue {number}",
                    "classification": {"name": "Tissue", "color": list(GREEN)},
                    "isLocked": True,
                    "tissue_id": number,
                    "measurements": {"area_mm2": area * (mpp / 1000) ** 2},
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


def contour_picture(
    overview: Pixels,
    pieces: list[Outline],
    scale: tuple[float, float],
    *,
    patches: NDArray[np.int64] | None = None,
    edge: float = 0.0,
) -> Image.Image:
    """The overview with the outer contours in green, the holes in blue and the patches as thin grey squares.

    Args:
        overview: RGB, (H, W, 3).
        pieces: in level-0 pixels.
        scale: level-0 pixels per pixel of the overview, across and down.
        patches: (N, 2) top-left corners in level-0 pixels; None draws none.
        edge: of a patch in level-0 pixels.
    """
    picture = Image.fromarray(overview)
    factor = THUMBNAIL_PX / max(picture.size)
    if factor != 1:
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        kind = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC
        picture = picture.resize(size, kind) if max(overview.shape) > 1 else picture
    across, down = (scale[0] * overview.shape[1] / picture.width, scale[1] * overview.shape[0] / picture.height)
    pen = ImageDraw.Draw(picture)
    for x, y in [] if patches is None else patches.tolist():
        pen.rectangle((x / across, y / down, (x + edge) / across, (y + edge) / down), outline=GREY)
    for piece in pieces:
        for ring, colour in ((piece.outer, GREEN), *((hole, BLUE) for hole in piece.holes)):
            pen.line([(x / across, y / down) for x, y in ring.tolist()], fill=colour, width=3)
    return picture
