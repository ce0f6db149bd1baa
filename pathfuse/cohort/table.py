"""Cases: a patient has cases, a case has per modality any number of files, one label and one part."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathfuse.cohort.flow import FlowStep, left_out_step, part_steps, table_step
from pathfuse.cohort.split_rows import SplitRow
from pathfuse.errors import CaseTableError, cannot_be_read

PARTS = ("train", "val", "test")
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaseFile:
    """One image, slide or feature file; `mpp` in micrometres per pixel, None if unknown."""

    path: Path
    mpp: float | None = None


@dataclass(frozen=True)
class Case:
    """What gets one prediction.

    Attributes:
        case_id: unique name; a string, zero padding is kept.
        patient_id: the unit of splits and statistics.
        label: class name; empty where unknown.
        split: `train`, `val` or `test`; empty where the source does not say.
        site: where it was stained or scanned; empty where unknown.
        files: per stain, its files in order; a stain without files is not a key.
        labels: further label columns of the table.
        row: its row in a file that holds many cases, from 0; None where a file belongs to one case.
    """

    case_id: str
    patient_id: str
    label: str = ""
    split: str = ""
    site: str = ""
    files: Mapping[str, tuple[CaseFile, ...]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    row: int | None = None


@dataclass(frozen=True)
class CaseTable:
    """All cases of one source.

    Attributes:
        origin: the file or folder they were read from.
        cases: in the order of the source.
        modalities: every stain that a case has, in order of appearance.
        classes: class names; the position is the class index.
        notes: what a reader should know about how they were read.
        flow: how many cases there were, and what was left out and why; empty where nothing was.
        kind: what the source was taken for, for example `case table`; empty for the demo cohort.
    """

    origin: Path
    cases: tuple[Case, ...]
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    flow: tuple[FlowStep, ...] = ()
    kind: str = ""

    def keep(self, cases: Sequence[Case], why: str) -> CaseTable:
        """The same table with some of its cases, changed or not; those that leave are counted under `why`."""
        steps = self.flow or (table_step(self.cases),)
        return replace(self, cases=tuple(cases), flow=(*steps, *left_out_step(why, self.cases, cases)))

    def position(self, case_id: str) -> int:
        """Where a case is in the table.

        Raises:
            CaseTableError: if there is no such case.
        """
        found = self._places.get(case_id)
        if found is None:
            raise CaseTableError(f"{self.origin.name} has no case {case_id!r} in use. Choose another one.")
        return found

    def where(self, part: str) -> Positions:
        """Positions of the cases of a part."""
        return np.array([i for i, case in enumerate(self.cases) if case.split == part], dtype=np.int64)

    def class_counts(self) -> tuple[int, ...]:
        """Labelled training cases of each class."""
        counts = Counter(case.label for case in self.cases if case.split == "train")
        return tuple(counts[name] for name in self.classes)

    def targets(self) -> Positions:
        """The class index of every case, -1 where the label is unknown."""
        number = {name: index for index, name in enumerate(self.classes)}
        return np.array([number.get(case.label, -1) for case in self.cases], dtype=np.int64)

    def having(self, modality: str) -> Positions:
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
            files = {m: [(f.path.name, f.path.stat().st_size) for f in own] for m, own in case.files.items()}
            digest.update(json.dumps([case.case_id, case.patient_id, case.label, case.split, files]).encode())
        return digest.hexdigest()

    def content_fingerprint(self) -> str:
        """SHA-256 over what `fingerprint` covers and every byte of the files; folders are passed over.

        Raises:
            CaseTableError: if a file cannot be read.
        """
        digest = hashlib.sha256(self.fingerprint().encode())
        files = [one.path for case in self.cases for own in case.files.values() for one in own]
        for path in files:
            if path.is_file():
                digest.update(_digest(path))
        return digest.hexdigest()

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {case.case_id: position for position, case in enumerate(self.cases)}


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise cannot_be_read(CaseTableError, path, error, "Restore it, or remove the case.") from error
