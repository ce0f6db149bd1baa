"""status.csv: what became of every pair, kept up by any number of processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pathfuse.system.status_table import StatusTable

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


TABLE = StatusTable(PairStatus, "Remove it; the next registration writes it.")
record, read_status = TABLE.record, TABLE.read
