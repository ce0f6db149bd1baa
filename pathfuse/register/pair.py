"""Pairs of slides to register: two files, or the stains of a case table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.cohort.table import Case, CaseFile
from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class SlideOf:
    """One slide of a pair.

    Attributes:
        path: the file.
        stain: its modality.
        mpp: micrometres per level-0 pixel that the user gave; None asks the file.
    """

    path: Path
    stain: str
    mpp: float | None = None


@dataclass(frozen=True)
class SlidePair:
    """Two slides of one case.

    Attributes:
        name: unique; names the folder of its results.
        fixed: the slide that others are registered onto.
        moving: the slide that is registered.
        case_id: its case.
        patient_id: the patient; empty where nobody said.
        label: of the case.
        split: of the case.
        site: of the case.
    """

    name: str
    fixed: SlideOf
    moving: SlideOf
    case_id: str
    patient_id: str = ""
    label: str = ""
    split: str = ""
    site: str = ""


def two_slides(fixed: Path, moving: Path, stains: tuple[str, str], mpp: float | None) -> SlidePair:
    """A pair of two files, named after the fixed one."""
    name = fixed.stem.removesuffix(".ome")
    ours, theirs = (SlideOf(path, stain, mpp) for path, stain in zip((fixed, moving), stains, strict=True))
    return SlidePair(_folder_name(f"{name}-{stains[1]}"), ours, theirs, name, name)


def of_table(table: Path, fixed: str, moving: Sequence[str], mpp: float | None) -> list[SlidePair]:
    """The pairs of a case table: every slide of the moving stains onto the one slide of the fixed stain.

    Raises:
        CaseTableError: if the table is wrong in itself.
        RecipeError: if a stain is in no case, or a case has several slides of the fixed stain.
    """
    cases = read_cases(table, check_files=False).cases
    for stain in (fixed, *moving):
        if not any(case.files.get(stain) for case in cases):
            known = sorted({name for case in cases for name in case.files})
            raise RecipeError(f"{table.name} has no slide of stain {stain!r}; it has {', '.join(known) or 'none'}.")
    pairs = [pair for case in cases for pair in _of_case(table, case, fixed, moving, mpp)]
    if not pairs:
        raise RecipeError(f"{table.name} has no case with {fixed} and {' or '.join(moving)}.")
    return pairs


def _of_case(table: Path, case: Case, fixed: str, moving: Sequence[str], mpp: float | None) -> list[SlidePair]:
    ours = case.files.get(fixed, ())
    theirs = [(stain, file) for stain in moving for file in case.files.get(stain, ())]
    if not ours or not theirs:
        return []
    if len(ours) > 1:
        raise RecipeError(
            f"{table.name}: case {case.case_id} has {len(ours)} slides of {fixed}. Give each block its own case_id and "
            "the same patient_id."
        )
    pairs = []
    for stain, file in theirs:
        several = len(case.files[stain]) > 1
        name = f"{case.case_id}-{stain}" + (f"-{case.files[stain].index(file) + 1}" if several else "")
        slides = (_slide(ours[0], fixed, mpp), _slide(file, stain, mpp))
        said = (case.case_id, case.patient_id, case.label, case.split, case.site)
        pairs.append(SlidePair(_folder_name(name), *slides, *said))
    return pairs


def _slide(file: CaseFile, stain: str, mpp: float | None) -> SlideOf:
    return SlideOf(file.path, stain, file.mpp if mpp is None else mpp)


def _folder_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "pair"
