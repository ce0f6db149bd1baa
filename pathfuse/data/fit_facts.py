"""Facts of what a fit would use: parts, sites, files with spacing and encoder, and the first cases as understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pathfuse.cohort.sources.pairs import SUFFIXES
from pathfuse.cohort.table import PARTS, Case, CaseTable
from pathfuse.errors import PathfuseError
from pathfuse.slides.opening import open_slide
from pathfuse.store.read import open_slide as open_features
from pathfuse.store.read import suffixes

FIRST = 5  # cases that are shown
_KINDS = 4  # encoders and spacings in a line


def fit_facts(table: CaseTable) -> tuple[list[str], list[str]]:
    """Lines on what a fit would use, and one line for every file that cannot be opened.

    Args:
        table: the cases with their parts.
    """
    lines = []
    parts = Counter(case.split for case in table.cases)
    if any(parts[part] for part in PARTS):
        lines.append("a fit uses: " + ", ".join(f"{parts[part]} {part}" for part in PARTS))
    sites = Counter(case.site for case in table.cases)
    if set(sites) != {""}:
        lines.append("by site: " + ", ".join(f"{name or 'unknown'} {count}" for name, count in sorted(sites.items())))
    problems: list[str] = []
    for modality in table.modalities:
        files = [file for case in table.cases for file in case.files.get(modality, ())]
        there = [file for file in files if file.path.exists()]
        facts = Counter(fact for file in there for fact in _described(file.path, file.mpp, problems))
        kinds = ", ".join(f"{name} ({count})" for name, count in facts.most_common(_KINDS))
        missing = f", {len(files) - len(there)} missing" if len(there) < len(files) else ""
        lines.append(f"{modality}: {len(there)} files found{missing}{': ' if kinds else ''}{kinds}")
    return [*lines, *_first_rows(table.cases, table.modalities)], problems


def _described(path: Path, mpp: float | None, problems: list[str]) -> Iterator[str]:
    """Encoder and width of features, and the spacing of features and slides; images are decoded elsewhere."""
    suffix = path.suffix.lower()
    try:
        if suffix in suffixes():
            slide = open_features(path, mpp=mpp)
            yield f"encoder {slide.encoder or 'not stated'}, width {slide.features.shape[1]}"
            yield _spacing(slide.mpp)
        elif suffix not in SUFFIXES:
            with open_slide(path, mpp=mpp) as opened:
                yield _spacing(opened.spacing.mpp)
        else:
            yield _spacing(mpp)
    except PathfuseError as error:
        problems.append(str(error))


def _spacing(mpp: float | None) -> str:
    return "spacing not stated" if mpp is None else f"{mpp:.4g} um per pixel"


def _first_rows(cases: Sequence[Case], modalities: Sequence[str]) -> list[str]:
    """The first cases as they were understood, in columns."""
    rows = [["case", "patient", "label", "part", "site", *modalities]]
    for case in cases[:FIRST]:
        files = [", ".join(file.path.name for file in case.files.get(m, ())) or "-" for m in modalities]
        rows.append(
            [case.case_id, case.patient_id, case.label or "unknown", case.split or "-", case.site or "-", *files]
        )
    return ["the first cases as understood:", *_aligned(rows)]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
