"""Stain normalisers."""

from __future__ import annotations

import numpy as np

from pathfuse.slides.normalise import Normaliser, normalised
from pathfuse.testing.checks.of_pictures import of_slides
from pathfuse.testing.pictures import glass, section
from pathfuse.testing.trial import Trial

GREY_LEVELS = 12  # that an image may change by on average when its own colours are the target


def images_keep_size_and_type(trial: Trial) -> None:
    """A uint8 image of the same shape for tissue, glass, one colour and black; an oblong image is no exception."""
    made = _normaliser(trial)
    black = np.zeros((40, 40, 3), np.uint8)
    for image in (section(96), section(96)[:, :50], glass(40), black, black + np.uint8(120)):
        normalised(image, made)


def it_has_a_reference(trial: Trial) -> None:
    """It names the stains of its own reference, or takes a target image."""
    made = _normaliser(trial)
    own = isinstance(made.stains, frozenset) and all(isinstance(stain, str) for stain in made.stains)
    assert own, "stains has to be a frozenset of names of stains"
    assert made.stains or _takes_target(made), "it has no stains and no towards: no image can be normalised by it"


def its_own_colours_as_target_change_little(trial: Trial) -> None:
    """Towards the image itself an image stays about as it is, and settings tell the target."""
    made, image = _normaliser(trial), section(150)
    if not _takes_target(made):
        return
    towards = made.towards(image)
    assert towards.settings() != made.settings(), "settings() does not tell that there is a target"
    change = float(np.abs(normalised(image, towards).astype(float) - image).mean())
    assert change < GREY_LEVELS, f"towards its own colours an image changes by {change:.0f} grey levels on average"


def _takes_target(made: Normaliser) -> bool:
    return type(made).towards is not Normaliser.towards


def _normaliser(trial: Trial) -> Normaliser:
    made = of_slides(trial)
    assert isinstance(made, Normaliser)
    return made
