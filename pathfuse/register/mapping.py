"""Points carried from one slide of a registration to the other, in level-0 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pathfuse.register.files.points import read_points, write_mapped
from pathfuse.register.files.record import find_record, read_record

Points = NDArray[np.float64]  # (N, 2)


def map_points(folder: Path | str, points: Points, *, inverse: bool = False, pair: str | None = None) -> Points:
    """Carries points (N, 2), x and y in level-0 pixels, from the fixed to the moving slide.

    Args:
        folder: of one registration, or of several.
        points: (N, 2) on the fixed slide, or on the moving one with `inverse`.
        inverse: from the moving to the fixed slide instead.
        pair: name of the pair, where the folder holds several.

    Raises:
        RegistrationError: if there is no such registration.
    """
    record = read_record(find_record(Path(folder), pair))
    ours, theirs = record.fixed.mpp, record.moving.mpp
    points = np.asarray(points, np.float64).reshape(-1, 2)
    if inverse:
        return record.transform.backward(points * theirs) / ours
    return record.transform.forward(points * ours) / theirs


def map_table(folder: Path, table: Path, out: Path, *, inverse: bool = False, pair: str | None = None) -> int:
    """Carries the points of a CSV (columns x, y) and writes it anew; returns how many there are.

    Raises:
        RegistrationError: if there is no such registration, or the table cannot be read.
    """
    points = map_points(folder, read_points(table), inverse=inverse, pair=pair)
    write_mapped(out, table, points)
    return len(points)
