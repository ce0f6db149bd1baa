"""Clinical table of the demo cohort: a column that tells the score, and one that is noise."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import make_patient
from pathfuse.system.csv_writing import CsvWriter

CLINICAL = "clinical.csv"
COLUMNS = ("patient_id", "her2_copies", "age")
_UNKNOWN = 0.05  # fraction of the cells that are empty


def write_clinical(path: Path, who: DemoCohort) -> None:
    """Writes a row per patient: `her2_copies` rises with the score, `age` has nothing to do with it.

    Some cells are empty, as in every clinical table. The values are drawn from the seed and the patient's position
    alone, so that the same patients have the same rows beside patches, slides and bags.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = CsvWriter(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(_row(who, index) for index in range(who.patients))


def _row(who: DemoCohort, index: int) -> tuple[str, str, str]:
    patient = make_patient(who, index)
    rng = np.random.default_rng([who.seed, zlib.crc32(b"clinical"), index])
    copies = 1.6 + 1.1 * patient.level + rng.normal(0, 0.9)
    age = rng.normal(58, 12)
    cells = (f"{max(copies, 0.5):.1f}", f"{np.clip(age, 24, 95):.0f}")
    unknown = rng.uniform(size=2) < _UNKNOWN
    return patient.patient_id, *("" if gone else cell for cell, gone in zip(cells, unknown, strict=True))  # type: ignore[return-value]
