"""Opens the feature files of all cases once, by their headers, and says what does not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pathfuse.cohort.table import Case, CaseTable
from pathfuse.data.bags.usable import bagged_cases
from pathfuse.errors import StoreError
from pathfuse.store import SlideFeatures
from pathfuse.store.index import FeatureIndex
from pathfuse.system.spacing import alike

Slides = tuple[SlideFeatures, ...]
Fact = Literal["coords", "patch_size_level0", "mpp", "encoder"]


@dataclass(frozen=True)
class BagTable:
    """Cases with the opened slides of every stain.

    Attributes:
        table: the cases that have a patch of any stain.
        slides: per case and stain, the slides with at least one patch, in table order.
        widths: per stain, the length D of its features; 0 where no case has it.
        patch_um: per stain, the edge of its patches in micrometres; None if unknown, or not one.
    """

    table: CaseTable
    slides: Mapping[str, Mapping[str, Slides]]
    widths: Mapping[str, int]
    patch_um: Mapping[str, float | None]


def open_bags(
    table: CaseTable,
    modalities: Sequence[str],
    *,
    missing: Literal["error", "allow"] | None,
    require: Sequence[Fact] = (),
    patch_size_level0: float | None = None,
    cache: Path | None = None,
) -> BagTable:
    """Opens every feature file that is not known from an earlier start, and checks the cohort.

    Args:
        table: the cases.
        modalities: stains to read.
        missing: `error`: every case must have every stain; `allow`: a stain may be missing everywhere; None: every
            stain must be there for some case.
        require: facts that every slide must state.
        patch_size_level0: where the files do not say.
        cache: folder in which headers are remembered; None opens every file.

    Raises:
        StoreError: for a file that cannot be used or does not fit the others of its stain.
        CaseTableError: for a case or stain that lacks what is asked of it.
    """
    index = FeatureIndex(cache)
    kept, slides = bagged_cases(
        table,
        modalities,
        lambda case, m: _open(index, case, m, require, patch_size_level0),
        missing=missing,
    )
    index.save()
    of_stain = {m: [slide for own in slides.values() for slide in own.get(m, ())] for m in modalities}
    edges = {m: [slide.patch_um for slide in several if slide.patch_um] for m, several in of_stain.items()}
    patch_um = {m: one_size(own) for m, own in edges.items()}
    mixed = [_of_several_sizes(m, own) for m, own in edges.items() if own and patch_um[m] is None]
    notes = [*kept.notes, *_without_coords(modalities, kept.cases, slides), *mixed]
    widths = {m: _check_stain(m, several) for m, several in of_stain.items()}
    return BagTable(replace(kept, notes=tuple(notes)), slides, widths, patch_um)


def _open(
    index: FeatureIndex, case: Case, modality: str, require: Sequence[Fact], patch_size_level0: float | None
) -> Slides:
    opened = []
    for file in case.files[modality]:
        slide = index.open(file.path, mpp=file.mpp, patch_size_level0=patch_size_level0)
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


def _of_several_sizes(modality: str, edges: Sequence[float]) -> str:
    return (
        f"{modality}: patches are from {min(edges):.0f} to {max(edges):.0f} um wide, so that cells have several sizes. "
        "Extract all slides of a stain at one spacing and size."
    )


def one_size(edges: Sequence[float]) -> float | None:
    """The edge of patches, where it is one but for what scanners of a kind differ by; None if it is not."""
    return float(np.median(edges)) if edges and alike(max(edges), min(edges)) else None


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
