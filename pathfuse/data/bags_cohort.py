"""Opens the feature files of all cases once, by their headers, and says what does not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pathfuse.data.cases import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError, StoreError
from pathfuse.store import SlideFeatures, open_slide

Slides = tuple[SlideFeatures, ...]
Fact = Literal["coords", "patch_size_level0", "mpp", "encoder"]


@dataclass(frozen=True)
class BagTable:
    """Cases with the opened slides of every stain.

    Attributes:
        table: the cases that have a patch of any stain.
        slides: per case and stain, the slides with at least one patch, in table order.
        widths: per stain, the length D of its features; 0 where no case has it.
    """

    table: CaseTable
    slides: Mapping[str, Mapping[str, Slides]]
    widths: Mapping[str, int]


def open_bags(
    table: CaseTable,
    modalities: Sequence[str],
    *,
    missing: Literal["error", "allow"] | None,
    labels: Literal["required", "optional"],
    require: Sequence[Fact] = (),
    patch_size_level0: float | None = None,
) -> BagTable:
    """Opens every feature file and checks the cohort.

    Args:
        table: the cases.
        modalities: stains to read.
        missing: `error`: every case must have every stain; `allow`: a stain may be missing everywhere; None: every
            stain must be there for some case.
        labels: whether a case without a label is an error.
        require: facts that every slide must state.
        patch_size_level0: where the files do not say.

    Raises:
        StoreError: for a file that cannot be used or does not fit the others of its stain.
        CaseTableError: for a case or stain that lacks what is asked of it.
    """
    slides: dict[str, dict[str, Slides]] = {}
    empty: list[str] = []
    for case in table.cases:
        opened = {m: _open(case, m, require, patch_size_level0) for m in modalities if case.files.get(m)}
        empty += [slide.path.name for several in opened.values() for slide in several if not len(slide)]
        filled = {m: tuple(slide for slide in several if len(slide)) for m, several in opened.items()}
        slides[case.case_id] = {m: several for m, several in filled.items() if several}
    usable = [case for case in table.cases if slides[case.case_id]]
    _check_missing(table, usable, slides, modalities, missing)
    if labels == "required":
        _check_labels(table.origin, usable)
    notes = list(table.notes)
    if empty:
        notes.append(f"{len(empty)} slides have no patch and count as absent: {_listed(empty)}.")
    left_out = [case.case_id for case in table.cases if not slides[case.case_id]]
    if left_out:
        notes.append(f"{len(left_out)} cases have no patch of any stain and are left out: {_listed(left_out)}.")
    notes += _without_coords(modalities, usable, slides)
    # A file that is empty must not make its stain look present.
    cases = tuple(replace(case, files=_kept(case, slides[case.case_id])) for case in usable)
    widths = {m: _check_stain(m, [s for case in usable for s in slides[case.case_id].get(m, ())]) for m in modalities}
    table = table.keep(cases, f"no {' or '.join(modalities)} patch")
    kept = replace(table, modalities=tuple(modalities), notes=tuple(notes))
    return BagTable(kept, slides, widths)


def _open(case: Case, modality: str, require: Sequence[Fact], patch_size_level0: float | None) -> Slides:
    opened = []
    for file in case.files[modality]:
        slide = open_slide(file.path, mpp=file.mpp, patch_size_level0=patch_size_level0)
        for fact in require if len(slide) else ():
            slide.need(fact)
        opened.append(slide)
    return tuple(opened)


def _without_coords(
    modalities: Sequence[str], usable: Sequence[Case], slides: Mapping[str, Mapping[str, Slides]]
) -> list[str]:
    notes = []
    for modality in modalities:
        several = [slide for case in usable for slide in slides[case.case_id].get(modality, ())]
        without = [slide for slide in several if not slide.has_level0_coords]
        if without:
            why = "mpp is unknown" if without[0].coords_um is not None else without[0].lacks.get("coords", "not stored")
            notes.append(
                f"{len(without)} of {len(several)} {modality} slides have no coordinates in level-0 pixels ({why}): "
                "they train as well, but no map can be drawn."
            )
    return notes


def _kept(case: Case, slides: Mapping[str, Slides]) -> dict[str, tuple[CaseFile, ...]]:
    paths = {m: {slide.path for slide in several} for m, several in slides.items()}
    return {m: tuple(file for file in case.files[m] if file.path in paths[m]) for m in paths}


def _check_missing(
    table: CaseTable,
    usable: Sequence[Case],
    slides: Mapping[str, Mapping[str, Slides]],
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
            raise CaseTableError(
                f"{name}: no case has {modality!r}; there is {', '.join(table.modalities) or 'no stain'}. Correct "
                "data.modalities, or accept it with `missing: allow`."
            )


def _check_labels(origin: Path, cases: Sequence[Case]) -> None:
    bare = [case.case_id for case in cases if not case.label]
    if bare:
        raise CaseTableError(
            f"{origin.name}: {len(bare)} cases have no label, first {bare[0]}. Fill in the label column, or accept "
            "them with `labels: optional`."
        )


def _check_stain(modality: str, slides: Sequence[SlideFeatures]) -> int:
    """The width of a stain; all its slides must come from one encoder."""
    if not slides:
        return 0
    first = slides[0]
    for slide in slides:
        if slide.features.shape[1] != first.features.shape[1]:
            raise StoreError(
                f"{modality}: {first.path} has features of width {first.features.shape[1]}, {slide.path} of width "
                f"{slide.features.shape[1]}. Extract all slides of a stain with one encoder."
            )
    named = [slide for slide in slides if slide.encoder is not None]
    for slide in named:
        if slide.encoder != named[0].encoder:
            raise StoreError(
                f"{modality}: {named[0].path} was made with {named[0].encoder}, {slide.path} with {slide.encoder}. "
                "Extract all slides of a stain with one encoder."
            )
    return first.features.shape[1]


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
