"""The contract of a stain normaliser: it gives images the stain colours of a reference.

Third parties subclass `Normaliser` and name the class in an entry point of the group `pathfuse.normaliser`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import numpy as np

from pathfuse.errors import PluginError, RecipeError
from pathfuse.registry import NORMALISERS, build, settings_of
from pathfuse.slides.resample import Pixels


class Normaliser(ABC):
    """Repaints images. Options are keyword-only and kept as public attributes of the same name.

    A normaliser is sent to reading processes, so it can be pickled.

    Attributes:
        stains: those that its own reference is for, for example `he`; other stains need a target image.
        version: raise it whenever the same image and options would give other pixels; what was made before is then
            made again.
    """

    stains: ClassVar[frozenset[str]] = frozenset()
    version: ClassVar[int] = 1

    @abstractmethod
    def __call__(self, image: Pixels) -> Pixels:
        """The repainted image.

        Args:
            image: RGB, uint8, (H, W, 3); it is not changed.

        Returns:
            uint8 of the same shape. An image in which there is nothing to normalise comes back as it is.
        """

    def towards(self, target: Pixels) -> Self:
        """The same normaliser with the colours of an image for its reference.

        Args:
            target: RGB, uint8, (H, W, 3).

        Raises:
            ImageError: if the image shows no stains that could be a reference.
            RecipeError: if the normaliser takes no target.
        """
        raise RecipeError(f"{type(self).__name__} takes no target image. Leave it out.")

    def settings(self) -> dict[str, Any]:
        """All that the result depends on besides the image, as JSON can hold it."""
        return {**settings_of(self), "version": self.version}


def normaliser(name: str, options: Mapping[str, object] | None = None, *, key: str = "--normaliser") -> Normaliser:
    """A registered normaliser by name.

    Args:
        name: the class, or its name without case.
        options: of its constructor.
        key: where it was named, for messages.

    Raises:
        PluginError: if nobody registered the name.
        RecipeError: if it does not take an option.
    """
    return cast(Normaliser, build(NORMALISERS, name, options or {}, Normaliser, key))


def normalised(image: Pixels, by: Normaliser) -> Pixels:
    """An image as a normaliser repaints it, checked.

    Args:
        image: RGB, uint8, (H, W, 3).
        by: the normaliser.

    Raises:
        PluginError: if it returns no image of that size.
    """
    made = by(image)
    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.shape != image.shape:
        found = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        raise PluginError(
            f"{type(by).__name__} returns {found} where a uint8 image {image.shape} is asked for. Repair it, or name "
            "another normaliser."
        )
    return made


def normaliser_of(stain: str, made: Normaliser, target: Pixels | None, *, key: str, target_key: str) -> Normaliser:
    """A normaliser for the images of a stain.

    Args:
        stain: for example `he`.
        made: the normaliser with its own reference.
        target: an image whose colours are the reference; None takes the normaliser's own.
        key: where the normaliser was named, for messages.
        target_key: where a target is named.

    Raises:
        RecipeError: if its own reference is not for that stain and there is no target.
        ImageError: if the target shows no stains.
    """
    if target is not None:
        return made.towards(target)
    if stain not in made.stains:
        theirs = " and ".join("H&E" if one == "he" else one for one in sorted(made.stains)) or "no stain"
        raise RecipeError(
            f"{key} names {stain!r}: the usual reference is for {theirs} and would repaint it. Name an image with the "
            f"wanted colours in {target_key}, or leave it out."
        )
    return made
