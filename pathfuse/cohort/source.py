"""Where cases come from: a case table, a folder of pairs, or the demo cohort; and which of them can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pathfuse.cohort.pairs import read_folder
from pathfuse.cohort.table import Case, CaseTable, read_cases
from pathfuse.errors import CaseTableError

Labels = Literal["required", "optional"]
Missing = Literal["error", "allow"]

TABLE = "cases.csv"


def read_source(
    path: Path,
    *,
    modalities: Sequence[str],
    groups: Path | None = None,
    classes: Sequence[str] | None = None,
    labels: Labels = "required",
    missing: Missing | None = None,
    mpp: float | None = None,
) -> CaseTable:
    """The cases of a table, of a folder that holds `cases.csv`, or of a folder of pairs, with only the named stains.

    Args:
        path: file or folder.
        modalities: stains that are used; cases with none of them are left out, and a note says so.
        groups: CSV `file,group` for a folder of pairs.
        classes: class names; None derives them.
        labels: whether a case without a label is an error.
        missing: whether a case without one of the stains is an error; None: in a folder yes, in a table no, but some
            case must have it.
        mpp: micrometres per pixel where the source does not say.

    Raises:
        CaseTableError: if the source is wrong in itself or lacks what is asked of it.
    """
    path = path.absolute()  # `.` has no name to show
    table = path / TABLE if (path / TABLE).is_file() else path
    if table.is_dir():
        found = read_folder(
            table,
            modalities=modalities,
            groups=groups,
            classes=classes,
            labels=labels,
            missing=missing or "error",
            mpp=mpp,
        )
    else:
        if groups is not None:
            raise CaseTableError(
                f"{groups} is not read beside {table.name}: its patient_id says what belongs together."
            )
        found = read_cases(table, modalities=modalities, classes=classes)
        found = _usable(found, modalities, missing, mpp)
    if labels == "required":
        _refuse_unlabelled(found)
    return found


def _usable(table: CaseTable, modalities: Sequence[str], missing: Missing | None, mpp: float | None) -> CaseTable:
    name = table.origin.name
    kept = [_only(case, modalities, mpp) for case in table.cases]
    for modality in modalities:
        without = [case.case_id for case in kept if not case.files.get(modality)]
        if len(without) == len(kept) and missing != "allow":
            raise CaseTableError(
                f"{name} has no case with {modality!r}; it has {', '.join(table.modalities) or 'no stain'}. Correct "
                "data.modalities, or accept it with `missing: allow`."
            )
        if without and missing == "error":
            raise CaseTableError(
                f"{name}: {len(without)} cases have no {modality} image, first {without[0]}. Remove them, or accept "
                "them with `missing: allow`."
            )
    usable = [case for case in kept if case.files]
    notes = list(table.notes)
    if len(usable) < len(kept):
        notes.append(
            f"{len(kept) - len(usable)} of {len(kept)} cases have no {' or '.join(modalities)} image: left out."
        )
    if not usable:
        raise CaseTableError(f"{name} has no case with any of {', '.join(modalities)}. Correct data.modalities.")
    table = table.keep(usable, f"no {' or '.join(modalities)} image")
    return replace(table, modalities=tuple(modalities), notes=tuple(notes))


def _only(case: Case, modalities: Sequence[str], mpp: float | None) -> Case:
    files = {
        m: tuple(file if file.mpp else replace(file, mpp=mpp) for file in case.files[m])
        for m in modalities
        if case.files.get(m)
    }
    return replace(case, files=files)


def _refuse_unlabelled(table: CaseTable) -> None:
    bare = [case.case_id for case in table.cases if not case.label]
    if bare:
        raise CaseTableError(
            f"{table.origin.name}: {len(bare)} cases have no label, first {bare[0]}. Fill in column label, or accept "
            "them with `labels: optional`."
        )


def refuse_several(table: CaseTable, asked_by: str) -> None:
    """Refuses a case with more than one image of a stain.

    Raises:
        CaseTableError: naming the case and what takes only one.
    """
    for case in table.cases:
        for modality, files in case.files.items():
            if len(files) > 1:
                raise CaseTableError(
                    f"{table.origin.name}: case {case.case_id} has {len(files)} {modality} images, and {asked_by} "
                    "takes one. Give each image its own case_id and the same patient_id."
                )
