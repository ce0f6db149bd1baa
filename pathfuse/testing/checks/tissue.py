"""Tissue rules."""

from __future__ import annotations

import numpy as np

from pathfuse.slides.tissue import OVERVIEW_MPP, Tissue, tissue_mask
from pathfuse.testing.checks.of_pictures import of_slides
from pathfuse.testing.pictures import glass, piece, section
from pathfuse.testing.trial import Trial

OVERLAP = 0.5  # intersection over union with the drawn piece; our rules reach 0.9


def masks_have_the_size_of_the_overview(trial: Trial) -> None:
    """A bool mask (H, W) for an overview of any shape, also for a very small one and one without glass."""
    rule = _rule(trial)
    for overview in (section(120), section(120)[:, :80], glass(3), section(200)[70:130, 70:130]):
        tissue_mask(overview, OVERVIEW_MPP, rule)


def empty_glass_is_no_tissue(trial: Trial) -> None:
    """Glass without a slide's tissue, and plain white, have none."""
    rule = _rule(trial)
    for name, overview in (("glass", glass(150)), ("white", np.full((150, 150, 3), 255, np.uint8))):
        share = float(tissue_mask(overview, OVERVIEW_MPP, rule).mean())
        assert share < 0.02, f"{share:.0%} of plain {name} is called tissue"


def tissue_is_found(trial: Trial) -> None:
    """A drawn piece of H&E, two millimetres wide, is found about where it is."""
    mask, truth = tissue_mask(section(360), OVERVIEW_MPP, _rule(trial)), piece(360)
    overlap = float((mask & truth).sum() / (mask | truth).sum())
    assert overlap > OVERLAP, f"mask and drawn tissue overlap by {overlap:.0%}, expected are {OVERLAP:.0%}"


def _rule(trial: Trial) -> Tissue:
    rule = of_slides(trial)
    assert isinstance(rule, Tissue)
    return rule
