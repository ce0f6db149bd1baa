"""Points carried from one slide of a registration to the other, in level-0 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import RegistrationError
from pathfuse.register.files.points import beyond, read_points, write_mapped
from pathfuse.register.files.record import Record, find_record, read_record

Points = NDArray[np.float64]  # (N, 2)


def map_points(folder: Path | str, points: Points, *, inverse: bool = False, pair: str | None = None) -> Points:
    """Carries points (N, 2), x and y in level-0 pixels, from the fixed to the moving slide.

    A registration that was refused carries them too, to places that mean nothing; `status.csv` has the verdict.

    Args:
        folder: of one registration, or of several.
        points: (N, 2) on the fixed slide, or on the moving one with `inverse`.
        inverse: from the moving to the fixed slide instead.
        pair: name of the pair, where the folder holds several.

    Raises:
        RegistrationError: if there is no such registration, or all points lie beyond the slide; where some do, they
            go on as the nearest tissue does.
    """
    return _mapped(read_record(find_record(Path(folder), pair)), points, inverse)[0]


def _mapped(record: Record, points: Points, inverse: bool) -> tuple[Points, int]:
    """The points on the other slide, and how many of them lie beyond their own."""
    ours, theirs = record.fixed.mpp, record.moving.mpp
    points = np.asarray(points, np.float64).reshape(-1, 2)
    source = record.moving if inverse else record.fixed
    outside = int(np.count_nonzero(beyond(points, (source.width, source.height))))
    if outside and outside == len(points):
        raise RegistrationError(
            f"all {len(points)} points lie beyond {Path(source.path).name}, which is {source.width} x {source.height} "
            f"px. Give level-0 pixels of the {'moving' if inverse else 'fixed'} slide."
        )
    if inverse:
        return record.transform.backward(points * theirs) / ours, outside
    return record.transform.forward(points * ours) / theirs, outside


class Carried(NamedTuple):
    """What became of the points of a table.

    Attributes:
        points: how many there are.
        beyond: how many of them lie beyond their slide.
        verdict: of the registration that carried them.
    """

    points: int
    beyond: int
    verdict: str


def map_table(folder: Path, table: Path, out: Path, *, inverse: bool = False, pair: str | None = None) -> Carried:
    """Carries the points of a CSV (columns x, y) and writes it anew.

    Raises:
        RegistrationError: if there is no such registration, or the table cannot be read.
    """
    record = read_record(find_record(folder, pair))
    mapped, outside = _mapped(record, read_points(table), inverse)
    write_mapped(out, table, mapped)
    return Carried(len(mapped), outside, record.verdict)
