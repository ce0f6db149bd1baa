"""Turns an image file into what the cache keeps: decoded, stain-normalised, square, at the wanted size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pathfuse.data.images.decode import Pixels, decode
from pathfuse.errors import ImageError, RecipeError
from pathfuse.slides.normalise import Normaliser, normalised, normaliser, normaliser_of

VERSION = 1
"""Raise it whenever the same file and settings would give other pixels: cached images are named by it."""


@dataclass(frozen=True)
class Preparation:
    """Decode, normalise the stain, cut to the central square, resize.

    Args:
        size_px: edge of the result.
        stain: the stain normalisation; None leaves colours alone.
    """

    size_px: int
    stain: Normaliser | None = None

    def __call__(self, path: Path) -> Pixels:
        """The prepared image, (3, size_px, size_px) uint8.

        Raises:
            ImageError: if the file cannot be decoded.
        """
        return self.of(decode(path))

    def of(self, pixels: Pixels) -> Pixels:
        """The same of an image that is decoded already, (H, W, 3)."""
        if self.stain is not None:
            pixels = normalised(pixels, self.stain)
        return fitted(pixels, self.size_px)

    def settings(self) -> str:
        """All that the result depends on besides the file, as text."""
        stain = None if self.stain is None else self.stain.settings()
        return json.dumps({"version": VERSION, "size_px": self.size_px, "stain": stain}, default=plain)


def preparations(
    modalities: Sequence[str],
    size_px: int,
    normalise: Sequence[str],
    targets: Mapping[str, str],
    by: str = "macenko",
) -> dict[str, Preparation]:
    """The preparation of every stain.

    Args:
        modalities: the stains.
        size_px: edge of the result.
        normalise: stains that are normalised; H&E to the usual reference or its target, others to their target.
        targets: per stain, an image whose colours are the reference.
        by: the registered normaliser.

    Raises:
        PluginError: if nobody registered the normaliser.
        RecipeError: if a name is no stain, or a stain other than H&E has no target.
        ImageError: if a target does not show two stains.
    """
    for key, names in (("normalise", normalise), ("targets", targets)):
        for name in names:
            if name not in modalities and name != "he":  # `he` is the default and means nothing without H&E
                raise RecipeError(f"data.{key} names {name!r}, but the stains are {', '.join(modalities)}. Correct it.")
    return {m: Preparation(size_px, _stain(m, targets.get(m), by) if m in normalise else None) for m in modalities}


def _stain(modality: str, target: str | None, by: str) -> Normaliser:
    made = normaliser(by, key="data.normaliser")
    pixels = None if target is None else decode(Path(target))
    try:
        return normaliser_of(modality, made, pixels, key="data.normalise", target_key=f"data.targets.{modality}")
    except ImageError as error:
        raise ImageError(str(error).replace("the target", str(target), 1)) from error


def fitted(pixels: Pixels, size_px: int) -> Pixels:
    """The central square of an image (H, W, 3) at a size, (3, size_px, size_px)."""
    return np.ascontiguousarray(_resized(_square(pixels), size_px).transpose(2, 0, 1))


def _square(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return pixels[top : top + edge, left : left + edge]


def _resized(pixels: Pixels, size_px: int) -> Pixels:
    if pixels.shape[0] == size_px:
        return pixels
    # Area averaging keeps the mean of every region; it has no meaning when enlarging.
    how = Image.Resampling.BOX if pixels.shape[0] > size_px else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((size_px, size_px), how))


def plain(value: object) -> object:
    """Arrays as lists, for JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} in the settings of a preparation")
