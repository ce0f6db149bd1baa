"""Cases with a patch of any stain, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError, listed


class Bagged(Sized, Protocol):
    """A slide with a number of patches."""

    @property
    def path(self) -> Path:
        """The file that the case table names, or that was found for it."""


S = TypeVar("S", bound=Bagged)


def bagged_cases(
    table: CaseTable,
    modalities: Sequence[str],
    slides_of: Callable[[Case, str], tuple[S, ...]],
    *,
    missing: Literal["error", "allow"] | None,
) -> tuple[CaseTable, dict[str, Mapping[str, tuple[S, ...]]]]:
    """The cases that have a patch, and per case and stain its slides with at least one.

    Args:
        table: the cases.
        modalities: stains to read.
        slides_of: opens the slides of a case and a stain that it has files of.
        missing: `error`: every case must have every stain; `allow`: a stain may be missing everywhere; None: every
            stain must be there for some case.

    Raises:
        CaseTableError: for a case or stain that lacks what is asked of it.
    """
    slides: dict[str, Mapping[str, tuple[S, ...]]] = {}
    empty: list[str] = []
    for case in table.cases:
        opened = {m: slides_of(case, m) for m in modalities if case.files.get(m)}
        empty += [slide.path.name for several in opened.values() for slide in several if not len(slide)]
        filled = {m: tuple(slide for slide in several if len(slide)) for m, several in opened.items()}
        slides[case.case_id] = {m: several for m, several in filled.items() if several}
    usable = [case for case in table.cases if slides[case.case_id]]
    _check_missing(table, usable, slides, modalities, missing)
    notes = list(table.notes)
    if empty:
        notes.append(f"{len(empty)} slides have no patch and count as absent: {listed(empty)}.")
    left_out = [case.case_id for case in table.cases if not slides[case.case_id]]
    if left_out:
        notes.append(f"{len(left_out)} cases have no patch of any stain and are left out: {listed(left_out)}.")
    # A file that is empty must not make its stain look present.
    cases = [replace(case, files=_kept(case, slides[case.case_id])) for case in usable]
    table = table.keep(cases, f"no {' or '.join(modalities)} patch")
    return replace(table, modalities=tuple(modalities), notes=tuple(notes)), slides


def _kept(case: Case, slides: Mapping[str, tuple[S, ...]]) -> dict[str, tuple[CaseFile, ...]]:
    paths = {m: {slide.path for slide in several} for m, several in slides.items()}
    return {m: tuple(file for file in case.files[m] if file.path in paths[m]) for m in paths}


def _check_missing(
    table: CaseTable,
    usable: Sequence[Case],
    slides: Mapping[str, Mapping[str, tuple[S, ...]]],
    modalities: Sequence[str],
    missing: str | None,
) -> None:
    name = table.origin.name
    if not usable:
        raise CaseTableError(f"{name}: no case has a patch of {' or '.join(modalities)}. Correct data.modalities.")
    if missing == "error" and len(usable) < len(table.cases):
        first = next(case.case_id for case in table.cases if not slides[case.case_id])
        raise CaseTableError(f"{name}: case {first} has no patch of any stain. Remove it, or set `missing: allow`.")
    for modality in modalities:
        without = [case.case_id for case in usable if modality not in slides[case.case_id]]
        if without and missing == "error":
            raise CaseTableError(
                f"{name}: {len(without)} cases have no {modality} patches, first {without[0]}. Remove them, or accept "
                "them with `missing: allow`."
            )
        if len(without) == len(usable) and missing is None:
            there = sorted({modality for case in usable for modality in slides[case.case_id]})
            stores = ", ".join(f"{own}: DIR" for own in modalities)
            raise CaseTableError(
                f"{name}: no case has patches of {modality!r}, only of {', '.join(there)}. Add its files to the table, "
                f"or name those of all stains with --stores '{{{stores}}}' where the table names none. Otherwise "
                "correct data.modalities, or accept it with `missing: allow`."
            )
