"""Pictures of a registration to look at: overlay, checkerboard, and the error at every place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.errors import RegistrationError
from pathfuse.register.contract import Section
from pathfuse.register.field import Field
from pathfuse.register.local_trust import ERROR, FAR_UM
from pathfuse.register.transform import Transform
from pathfuse.register.warp import warped, warped_rgb
from pathfuse.system.files import replacing

EDGE_PX = 640
SQUARES = 8  # of the checkerboard, along the longer edge
WORST_UM = 50.0  # drawn as red
PICTURES = {
    "overlay.jpg": "Overlay: the fixed section in magenta, the moving one in green; grey where they agree",
    "checkerboard.jpg": "Checkerboard of both slides: structures go on across the edges",
    "error.jpg": f"Local error over the fixed slide: blue none, red {WORST_UM:g} µm or more, grey unknown or glass",
}


def write_pictures(folder: Path, fixed: Section, moving: Section, transform: Transform, trust: Field) -> None:
    """Writes `PICTURES` into the folder of a pair.

    Raises:
        RegistrationError: if they cannot be written.
    """
    ours = fixed.view(max(fixed.size_um) / EDGE_PX)
    theirs = moving.view(max(fixed.size_um) / EDGE_PX)
    density, _ = warped(ours, theirs, transform)
    moved = warped_rgb(ours, theirs, transform)
    drawn = (
        _overlay(ours.density, density),
        _checkerboard(ours.rgb, moved),
        _errors(ours.rgb, ours.tissue, trust.on(ours.tissue.shape, ours.pitch)[..., ERROR]),
    )
    for name, picture in zip(PICTURES, drawn, strict=True):
        with replacing(folder / name, error=RegistrationError) as temporary:
            Image.fromarray(picture).save(temporary, format="JPEG", quality=85)


def _overlay(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.uint8]:
    light = [255 * (1 - np.clip(plane / max(float(np.percentile(plane, 99)), 0.05), 0, 1)) for plane in (ours, theirs)]
    # Absorbed green is magenta, absorbed red and blue are green: together they are grey.
    return np.stack([light[1], light[0], light[1]], axis=-1).astype(np.uint8)


def _checkerboard(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    edge = max(1, max(ours.shape[:2]) // SQUARES)
    row, column = (np.arange(size) // edge for size in ours.shape[:2])
    mine = (row[:, None] + column[None]) % 2 == 0
    board: NDArray[np.uint8] = np.where(mine[..., None], ours, theirs)
    return board


def _errors(rgb: NDArray[np.uint8], tissue: NDArray[np.bool_], error: NDArray[np.float64]) -> NDArray[np.uint8]:
    share = np.clip(error / WORST_UM, 0, 1)[..., None]
    colour = (1 - share) * (60, 110, 230) + share * (220, 40, 40)
    grey = rgb.mean(axis=-1, keepdims=True)
    known = (tissue & (error < FAR_UM))[..., None]
    mixed = np.where(known, 0.45 * colour + 0.55 * grey, 0.5 * grey + 64)
    picture: NDArray[np.uint8] = mixed.astype(np.uint8)
    return picture
