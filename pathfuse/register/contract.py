"""The contract of a registration method: third parties subclass `Registration`, in `pathfuse.registration`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from pathfuse.errors import PluginError
from pathfuse.register.transform import Transform
from pathfuse.register.views import TISSUE_UM, View, view
from pathfuse.slides.slide import Slide
from pathfuse.slides.tissue import tissue_rule

LONGEST_PX = 4000  # of a view; work on a finer one of a large slide would take gigabytes


class Section:
    """A slide to be registered, open, with what was looked at so far.

    Args:
        slide: open.
        stain: its modality; `he` has a tissue rule of its own.

    Attributes:
        slide: the slide; a method of its own may read it, or take `slide.path`.
        stain: its modality.
    """

    def __init__(self, slide: Slide, stain: str) -> None:
        self.slide = slide
        self.stain = stain
        self._views: dict[float, View] = {}

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height in micrometres."""
        width, height = self.slide.size
        return width * self.slide.mpp, height * self.slide.mpp

    def spacing(self, mpp: float) -> float:
        """The spacing of the view that is given where one is asked for."""
        return round(max(mpp, self.slide.mpp, max(self.size_um) / LONGEST_PX), 4)

    def view(self, mpp: float) -> View:
        """The slide at about a spacing; never finer than it is, nor than memory allows. Kept for the next caller."""
        wanted = self.spacing(mpp)
        if wanted not in self._views:
            coarse = self.view(TISSUE_UM) if wanted < 0.8 * TISSUE_UM and self.slide.mpp < 0.8 * TISSUE_UM else None
            rule = tissue_rule("he" if self.stain == "he" else "ihc")
            self._views[wanted] = view(self.slide, wanted, rule, coarse)
        return self._views[wanted]


class Registration(ABC):
    """Finds where the tissue of one slide lies on another.

    Options are keyword-only arguments of the constructor. What a method returns is measured by the framework, the same
    for every method: it need not judge itself.
    """

    @abstractmethod
    def register(self, fixed: Section, moving: Section) -> Transform:
        """The transform from the fixed to the moving slide.

        Raises:
            RegistrationError: if there is nothing to register, for example no tissue.
        """

    def back(self, fixed: Section, moving: Section) -> Transform | None:
        """The transform from the moving to the fixed slide, found without looking at the first one.

        Both together show how far the method agrees with itself. None where it would say nothing new.
        """
        return self.register(moving, fixed)


def check_transform(method: Registration, found: object) -> None:
    """Whether a method returned a transform with an affine of 3 x 3.

    Raises:
        PluginError: naming the method and what it returned.
    """
    name = type(method).__name__
    shape = np.shape(found.matrix) if isinstance(found, Transform) else None
    if shape != (3, 3):
        said = f"a {type(found).__name__}" if shape is None else f"an affine of {shape}"
        raise PluginError(
            f"{name} returns {said}, and has to return a Transform with an affine of (3, 3). "
            f"`pathfuse plugins check {name}` shows more."
        )
