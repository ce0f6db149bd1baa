"""The store doctor: names what is wrong with feature files, one by one and as a cohort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from pathfuse.errors import StoreError
from pathfuse.store.contract import SlideFeatures
from pathfuse.store.spacing import spacing_findings

ROWS_AT_ONCE = 8192
Level = Literal["error", "warning"]


class Finding(NamedTuple):
    """One thing that is wrong: `where` names the file or stain, an error makes results wrong, a warning may."""

    level: Level
    where: str
    text: str


def check_slide(slide: SlideFeatures) -> list[Finding]:
    """Everything that can be said about one slide; reads all of it, in pieces."""
    where = str(slide.path)
    if not len(slide):
        return [Finding("warning", where, "empty slide: it has no patch and counts as absent")]
    try:
        findings = [Finding("error", where, text) for text in _values(slide)]
        findings += _coords(slide)
    except StoreError as error:
        return [Finding("error", where, str(error))]
    for fact in ("mpp", "patch_size_level0", "coords"):
        try:
            slide.need(fact)
        except StoreError as error:
            text = str(error).removeprefix(f"{slide.path} ").removeprefix("has ")
            findings.append(Finding("warning", where, text))
    return findings


def check_cohort(slides: Mapping[str, Sequence[SlideFeatures]]) -> list[Finding]:
    """What does not fit together: widths and encoders within a stain, encoders and patch sizes between stains."""
    findings: list[Finding] = []
    named: dict[str, set[str]] = {}
    for modality, several in slides.items():
        filled = [slide for slide in several if len(slide)]
        findings += _differ(modality, "width", "error", [(s, str(s.features.shape[1])) for s in filled])
        encoders = [(slide, _encoder(slide)) for slide in filled if slide.encoder is not None]
        findings += _differ(modality, "encoder", "error", encoders)
        named[modality] = {name for _, name in encoders}
        sizes = [(s, f"{s.um_patch_size:.1f} µm") for s in filled if s.um_patch_size is not None]
        findings += _differ(modality, "patch size", "warning", sizes)
    for first, second in zip(named, list(named)[1:], strict=False):
        if named[first] and named[second] and named[first] != named[second]:
            text = f"encoder {', '.join(sorted(named[first]))}, but {second} {', '.join(sorted(named[second]))}"
            findings.append(Finding("warning", first, f"{text}: fusions that share weights between stains need one"))
    return findings


def _encoder(slide: SlideFeatures) -> str:
    digest = slide.facts.get("encoder_digest")
    return str(slide.encoder) if digest is None else f"{slide.encoder} ({str(digest)[:12]})"


def _differ(modality: str, what: str, level: Level, said: Iterable[tuple[SlideFeatures, str]]) -> list[Finding]:
    first: dict[str, SlideFeatures] = {}
    count: dict[str, int] = {}
    for slide, value in said:
        first.setdefault(value, slide)
        count[value] = count.get(value, 0) + 1
    if len(first) < 2:
        return []
    parts = [f"{value} in {count[value]} slides, first {slide.path.name}" for value, slide in first.items()]
    return [Finding(level, modality, f"more than one {what}: {'; '.join(parts)}")]


def _values(slide: SlideFeatures) -> list[str]:
    nan = infinite = 0
    for start in range(0, len(slide), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(slide)))
        values = slide.features.read(rows)
        if values.is_floating_point() and not all(bool(torch.isfinite(end)) for end in torch.aminmax(values)):
            nan += int(torch.isnan(values).any(1).sum())
            infinite += int(torch.isinf(values).any(1).sum())
    found = [f"{nan} patches have NaN features"] if nan else []
    if infinite:
        cause = "float16 overflowed" if "f2" in slide.features.dtype or slide.features.dtype == "float16" else "inf"
        found.append(f"{infinite} patches have infinite features ({cause}): extract again in float32 or bfloat16")
    return found


def _coords(slide: SlideFeatures) -> list[Finding]:
    stored = slide.coords_level0_px or slide.coords_um
    if stored is None:
        return []
    coords = stored.read()
    findings = [Finding("error", str(slide.path), text) for text in spacing_findings(slide, coords)]
    twice = len(coords) - len(torch.unique(coords, dim=0))
    if twice:
        findings.append(Finding("error", str(slide.path), f"{twice} duplicate coordinates: patches are counted twice"))
    return findings
