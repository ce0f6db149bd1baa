"""A small cohort of serial sections that every test of this folder looks at, registered once."""

from __future__ import annotations

import csv
from pathlib import Path

from pathfuse.demo import DemoCohort, SerialPictures, write_serial

WHO = DemoCohort(patients=3, seed=3)
PICTURES = SerialPictures(slide_px=640, lost=0.0, torn=0.0, warp_um=10.0)


PARTS = ("train", "val", "test")


def cohort(folder: Path) -> Path:
    """Its case table, with a patient in every part."""
    table = write_serial(folder / "serial", WHO, PICTURES)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(row | {"split": PARTS[int(row["patient_id"][1:])]} for row in rows)
    return table
