"""A case table whose cases all have a part: what every data module says about its cases."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathfuse.cohort.flow import FlowStep, part_steps, table_step
from pathfuse.cohort.split_rows import SplitRow
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cohort:
    """Cases with their parts.

    Attributes:
        origin: file or folder they were read from.
        cases: in table order; every one has a part.
        classes: class names; the position is the class index.
        notes: what to read before trusting a number.
        flow: what was counted on the way from the source; empty where nothing was left out.
    """

    origin: Path
    cases: Sequence[Case]
    classes: Sequence[str]
    notes: Sequence[str] = ()
    flow: Sequence[FlowStep] = ()

    def __len__(self) -> int:
        return len(self.cases)

    def position(self, case_id: str) -> int:
        """Where a case is in the table.

        Raises:
            CaseTableError: if there is no such case.
        """
        for position, case in enumerate(self.cases):
            if case.case_id == case_id:
                return position
        raise CaseTableError(f"{self.origin.name} has no case {case_id!r} in use. Choose another one.")

    def where(self, part: str) -> Rows:
        """Positions of the cases of a part."""
        return np.array([i for i, case in enumerate(self.cases) if case.split == part], dtype=np.int64)

    def class_counts(self) -> tuple[int, ...]:
        """Labelled training cases of each class."""
        counts = Counter(case.label for case in self.cases if case.split == "train")
        return tuple(counts[name] for name in self.classes)

    def targets(self) -> Rows:
        """The class index of every case, -1 where the label is unknown."""
        number = {name: index for index, name in enumerate(self.classes)}
        return np.array([number.get(case.label, -1) for case in self.cases], dtype=np.int64)

    def rows(self, modality: str) -> Rows:
        """Consecutive numbers for the cases that have a stain, -1 for the others."""
        there = np.array([bool(case.files.get(modality)) for case in self.cases], dtype=bool)
        return np.where(there, np.cumsum(there) - 1, -1)

    def flow_steps(self) -> list[FlowStep]:
        """Cases and patients at every step from the source to the parts."""
        steps = self.flow or (table_step(self.cases),)
        return [*steps, *part_steps(self.cases, [case.split for case in self.cases])]

    def split_table(self) -> list[SplitRow]:
        """Every case with its part."""
        return [SplitRow(case.case_id, case.patient_id, case.split, case.label) for case in self.cases]

    def fingerprint(self) -> str:
        """SHA-256 over cases, patients, labels, parts, and name and size of the files; folders do not count."""
        digest = hashlib.sha256(json.dumps(list(self.classes)).encode())
        for case in self.cases:
            files = {m: [(f.path.name, f.path.stat().st_size) for f in files] for m, files in case.files.items()}
            digest.update(json.dumps([case.case_id, case.patient_id, case.label, case.split, files]).encode())
        return digest.hexdigest()
