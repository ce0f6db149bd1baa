"""The unit of coordinates, checked: patches of a grid are as far apart as they are wide."""

from __future__ import annotations

import torch
from torch import Tensor

from pathfuse.store.contract import SlideFeatures
from pathfuse.store.formats.trident import number

TOLERANCE = 0.02
FEW = 8  # steps from which on a grid is recognised
SHARE = 0.05  # of the steps that must fit; tissue is ragged, but never so that no patch has a neighbour


def steps_of(coords: Tensor) -> Tensor:
    """(S,) steps between neighbours in a row or column of the grid."""
    found = []
    for axis in (0, 1):
        along, across = coords[:, axis].double(), coords[:, 1 - axis].double()
        order = torch.argsort(along, stable=True)
        order = order[torch.argsort(across[order], stable=True)]
        same = torch.diff(across[order]) == 0
        step = torch.diff(along[order])
        found.append(step[same & (step > 0)])
    return torch.cat(found)


def spacing_findings(slide: SlideFeatures, coords: Tensor) -> list[str]:
    """What is wrong with the unit or spacing of a slide's coordinates, as stored."""
    in_um = slide.coords_um is not None
    size = slide.um_patch_size if in_um else slide.level0_patch_size
    findings = []
    if not in_um and coords.is_floating_point() and bool((coords != coords.round()).any()):
        findings.append(
            "coordinates are called pixels but are no whole numbers: wrong unit, they look like micrometres"
        )
    if bool((coords < 0).any()):
        findings.append(f"{int((coords < 0).any(1).sum())} coordinates are below 0: wrong unit or origin")
    if size is None:
        return findings
    findings += _beyond(slide, coords, size)
    steps = steps_of(coords)
    if not len(steps):
        return findings
    # Rounded, because micrometres in float32 repeat to a hundredth only.
    common = float(torch.mode((steps * 10).round()).values) / 10
    expected = size * (1 - _overlap(slide))
    share = float(((steps / expected - 1).abs() < TOLERANCE).double().mean())
    times = common / expected
    if share >= SHARE or (len(steps) < FEW and abs(times - round(times)) < TOLERANCE and times > 0.5):
        return findings
    unit = "µm" if in_um else "level-0 px"
    findings.append(
        f"patches are {common:g} apart, but {expected:g} {unit} by their size: {_reason(slide, common, size, in_um)}"
    )
    return findings


def _overlap(slide: SlideFeatures) -> float:
    overlap, size = number(slide.facts.get("overlap")), number(slide.facts.get("patch_size"))
    return 0.0 if overlap is None or size is None or overlap >= size else overlap / size


def _reason(slide: SlideFeatures, common: float, size: float, in_um: bool) -> str:
    extracted = number(slide.facts.get("patch_size")) or number(slide.facts.get("tile_size_px"))
    other = None if slide.mpp is None else (size / slide.mpp if in_um else size * slide.mpp)
    if other is not None and abs(common / other - 1) < TOLERANCE:
        return f"wrong unit, they are {'level-0 pixels' if in_um else 'micrometres'}"
    if extracted is not None and abs(common / extracted - 1) < TOLERANCE:
        return "wrong unit, they are pixels of the extracted level"
    if in_um and abs(common - round(common)) < 1e-6 and common > size:
        return "wrong unit, they look like pixels"
    return "wrong unit or patch size"


def _beyond(slide: SlideFeatures, coords: Tensor, size: float) -> list[str]:
    findings = []
    if slide.coords_um is None:
        for column, (name, axis) in enumerate((("level0_width", "x"), ("level0_height", "y"))):
            edge, reach = number(slide.facts.get(name)), float(coords[:, column].max())
            # A patch may stick out of the slide, but not begin outside.
            if edge is not None and reach >= edge:
                findings.append(f"{axis} reaches {reach:g}, but the slide ends at {edge:g}: wrong unit or slide")
    return findings
