"""Presence rules: which cases have the stains that are wanted, and what to do about the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pathfuse.cohort.table import Case, CaseTable
from pathfuse.errors import CaseTableError

Missing = Literal["error", "allow"]


def with_modalities(table: CaseTable, modalities: Sequence[str], missing: Missing | None) -> CaseTable:
    """The cases that have a file of some of the stains, with the files of these alone.

    Args:
        table: the cases.
        modalities: the stains.
        missing: `error`: a case that lacks one is an error; `allow`: a stain may lack everywhere; None: every stain
            must be there for some case.

    Raises:
        CaseTableError: for a case or stain that lacks what is asked of it.
    """
    name = table.origin.name
    kept = [_only(case, modalities) for case in table.cases]
    for modality in modalities:
        without = [case.case_id for case in kept if not case.files.get(modality)]
        if len(without) == len(kept) and missing != "allow":
            raise CaseTableError(
                f"{name} has no case with {modality!r}; it has {', '.join(table.modalities) or 'no stain'}. Correct "
                "data.modalities, or accept it with `missing: allow`."
            )
        if without and missing == "error":
            raise CaseTableError(
                f"{name}: {len(without)} cases have no {modality} image, first {without[0]}. Add them, remove these "
                "cases, or accept them with `missing: allow`."
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


def _only(case: Case, modalities: Sequence[str]) -> Case:
    wanted = [m for m in modalities if case.files.get(m)]
    if list(case.files) == wanted:
        return case  # patches of one HDF5 file share a mapping: one for each would be large
    return replace(case, files={m: case.files[m] for m in wanted})
