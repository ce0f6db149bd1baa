"""A tissue block: what slides and bags of one case share, whatever is drawn of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathfuse.demo.case import case_name, kept_stains
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import DemoPatient, make_patient

Row = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class DemoBlock:
    """One case of a patient before anything is drawn of it.

    Attributes:
        case_id: its name; the same as that of the patch of this number in the demo cohort.
        patient: whose it is.
        label: the score, or "" where it is not given out.
        stains: those that the case has, H&E first.
        rng: stream of this case, for everything that its stains share.
    """

    case_id: str
    patient: DemoPatient
    label: str
    stains: tuple[str, ...]
    rng: np.random.Generator

    def row(self, stain: str, path: Path, mpp: float) -> Row:
        """The row of one of its files in the case table."""
        owner = self.patient
        return (self.case_id, owner.patient_id, stain, path.as_posix(), self.label, owner.split, owner.site, mpp)


def make_block(who: DemoCohort, cases_per_patient: int, index: int, stream: str) -> DemoBlock:
    """The block at a position of a cohort; a function of the options, the position and the stream's name alone."""
    owner, number = divmod(index, cases_per_patient)
    patient = make_patient(who, owner)
    rng = np.random.default_rng([who.seed, zlib.crc32(stream.encode()), index])
    stains = tuple(who.modalities[place] for place in kept_stains(who, rng))
    label = patient.score if patient.labelled else ""
    return DemoBlock(case_name(patient, number), patient, label, stains, rng)
