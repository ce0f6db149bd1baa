"""status.csv: what became of every pair, kept up by any number of processes."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from pathfuse.system.files import atomic_text
from pathfuse.system.locks import held

State = Literal["accepted", "review", "refused", "failed", "skipped"]
FILE = "status.csv"


@dataclass(frozen=True)
class PairStatus:
    """One pair.

    Attributes:
        pair: its name, and the name of its folder.
        status: `accepted`, `review` (look at it), `refused` (the measured quality is below the limits), `failed` (there
            was nothing to register), or `skipped` (was done before; never in the table).
        lead: by how much the tissues are more alike than in the best other placement.
        similarity: share of random placements that look less alike.
        consistency_um: median distance there and back.
        overlap: of the tissues, as a share of the smaller one.
        degrees: by how much the moving section is turned.
        mirrored: 1 if it lies face down.
        scale: its size against the fixed one.
        landmarks_median_px: target error, if landmarks were given.
        landmarks_p90_px: the same, 90th percentile.
        seconds: time it took.
        reason: why it is not accepted, in one line.
        fixed: file of the fixed slide.
        moving: file of the moving slide.
    """

    pair: str
    status: State
    lead: str = ""
    similarity: str = ""
    consistency_um: str = ""
    overlap: str = ""
    degrees: str = ""
    mirrored: str = ""
    scale: str = ""
    landmarks_median_px: str = ""
    landmarks_p90_px: str = ""
    seconds: str = ""
    reason: str = ""
    fixed: str = ""
    moving: str = ""


COLUMNS = tuple(field.name for field in fields(PairStatus))


def record(table: Path, status: PairStatus) -> None:
    """Puts one pair's row into the table.

    Raises:
        RunError: if the table cannot be written.
    """
    with held(table, table.with_name(".status.lock")):
        rows = read_status(table)
        rows[status.pair] = status
        with atomic_text(table) as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(astuple(rows[name]) for name in sorted(rows))


def read_status(table: Path) -> dict[str, PairStatus]:
    """The rows by pair; empty if there is no table."""
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{key: row.get(key) or "" for key in COLUMNS} for row in csv.DictReader(file)]
    return {row["pair"]: PairStatus(**row) for row in rows}  # type: ignore[arg-type]
