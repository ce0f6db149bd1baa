"""A normaliser: it shifts colours so that their mean is that of a reference."""

from copy import copy
from typing import Self

import numpy as np

from pathfuse.slides import Normaliser, Pixels


class TinyNormaliser(Normaliser):
    """Gives every image the mean colour of a reference.

    Args:
        mean: red, green and blue of the reference.
    """

    stains = frozenset({"he", "ihc"})

    def __init__(self, *, mean: tuple[float, ...] = (200.0, 150.0, 190.0)) -> None:
        self.mean = list(mean)

    def __call__(self, image: Pixels) -> Pixels:
        """The repainted image, (H, W, 3)."""
        shifted = image + (np.array(self.mean) - image.mean(axis=(0, 1)))
        painted: Pixels = shifted.round().clip(0, 255).astype(np.uint8)
        return painted

    def towards(self, target: Pixels) -> Self:
        """With the mean colour of an image."""
        other = copy(self)
        other.mean = target.mean(axis=(0, 1)).tolist()
        return other
