"""Components of slides: their settings, and whether they answer alike wherever they are."""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from pathfuse.slides.normalise import Normaliser
from pathfuse.slides.resample import Pixels
from pathfuse.slides.tissue import OVERVIEW_MPP, Mask, Tissue
from pathfuse.testing.pictures import section
from pathfuse.testing.trial import Trial

Made = Tissue | Normaliser


def settings_say_every_option(trial: Trial) -> None:
    """`settings()` can be written as JSON, is the same twice, and has every option: caches are named by it."""
    made = of_slides(trial)
    settings = made.settings()
    assert json.loads(json.dumps(settings)) == settings, f"settings() is changed by JSON: {settings}"
    assert of_slides(trial).settings() == settings, "two that are made alike have different settings()"
    missing = [name for name in inspect.signature(type(made)).parameters if name not in settings]
    assert not missing, f"settings() lacks {', '.join(missing)}: keep each option as an attribute of its name"


def pictures_are_left_alone(trial: Trial) -> None:
    """The picture that is handed in is not changed, also where it must not be written to."""
    made, picture = of_slides(trial), section(120)
    before = picture.copy()
    picture.flags.writeable = False
    answer(made, picture)
    assert np.array_equal(picture, before), "it changes the picture that it is given"


def answers_repeat(trial: Trial) -> None:
    """The same picture gets the same answer again, from a new one, and from a pickled copy in a reading process."""
    made, picture = of_slides(trial), section(120)
    first = answer(made, picture)
    others: dict[str, Callable[[], Any]] = {
        "when asked again": lambda: made,
        "when made again": lambda: of_slides(trial),
        "in a pickled copy": lambda: pickle.loads(pickle.dumps(made)),
    }
    for when, other in others.items():
        assert np.array_equal(answer(other(), picture), first), f"the answer differs {when}"


def of_slides(trial: Trial) -> Made:
    """The rule or normaliser under check."""
    made = trial.example.build()
    assert isinstance(made, Tissue | Normaliser)
    return made


def answer(made: Made, picture: Pixels) -> Pixels | Mask:
    """What it says about a picture."""
    return made(picture, OVERVIEW_MPP) if isinstance(made, Tissue) else made(picture)
