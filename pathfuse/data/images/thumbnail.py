"""Turns a slide into a square thumbnail of its tissue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pathfuse.data.images.decode import Pixels
from pathfuse.data.images.prepare import VERSION, Preparation, plain
from pathfuse.errors import ImageError
from pathfuse.slides.normalise import normalised
from pathfuse.slides.opening import open_slide
from pathfuse.slides.resample import area_resample
from pathfuse.slides.slide import Slide
from pathfuse.slides.tissue import OVERVIEW_MPP, Mask, Tissue, tissue_mask, tissue_rule

THUMBNAIL_VERSION = 1
"""Raise it whenever the same slide and settings would give other pixels: cached thumbnails are named by it."""


@dataclass(frozen=True)
class Thumbnail(Preparation):
    """Read at a resolution by area averaging, cut to the tissue, pad to a square with the colour of the glass, resize.

    Args:
        size_px: edge of the result.
        stain: the stain normalisation; None leaves colours alone.
        mpp: micrometres per pixel that the slide is read at; the slide's own where that is coarser.
        crop: cut to the box around the tissue.
        margin: what is added to each side of the box, as a fraction of its longer edge.
        rule: how tissue is told from glass.
        slide_mpp: micrometres per level-0 pixel of slides whose files do not say, by path.
    """

    mpp: float = OVERVIEW_MPP
    crop: bool = True
    margin: float = 0.02
    rule: Tissue = field(default_factory=lambda: tissue_rule("he"))
    slide_mpp: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, path: Path) -> Pixels:
        """The thumbnail, (3, size_px, size_px) uint8.

        Raises:
            ImageError: if the slide cannot be read, its mpp is unknown, or there is no tissue to cut to.
        """
        with open_slide(path, mpp=self.slide_mpp.get(str(path))) as slide:
            image = slide.overview(self.mpp)  # (H, W, 3)
            tissue = self._tissue(slide, image)
        background = _background(image, tissue)
        if self.crop:
            image = _cut(path, image, tissue, self.margin)
        square = _padded(image, background)
        if self.stain is not None:
            square = normalised(square, self.stain)
        edge = len(square)
        made = square if edge == self.size_px else area_resample(square, (0, 0, edge, edge), self.size_px, self.size_px)
        return np.ascontiguousarray(made.transpose(2, 0, 1))

    def settings(self) -> str:
        """All that the result depends on besides the file, as text."""
        given = sorted(set(self.slide_mpp.values()))
        return json.dumps(
            {
                "version": [VERSION, THUMBNAIL_VERSION],
                "thumbnail": [self.size_px, self.mpp, self.crop, self.margin, self.rule.settings()],
                "stain": None if self.stain is None else self.stain.settings(),
                # One spacing for all slides, as usual, lets a cohort grow without making old thumbnails again.
                "slide_mpp": given if len(given) < 2 else sorted(self.slide_mpp.items()),
            },
            default=plain,
        )

    def _tissue(self, slide: Slide, image: Pixels) -> Mask:
        """Where the tissue is, at the size of `image`; found at the resolution that the rules are made for."""
        overview = image if self.mpp == OVERVIEW_MPP else slide.overview(OVERVIEW_MPP)
        mpp = slide.size[0] * slide.mpp / overview.shape[1]
        mask = tissue_mask(overview, mpp, self.rule)
        rows, columns = (
            np.minimum((np.arange(size) + 0.5) * known / size, known - 1).astype(np.int64)
            for size, known in zip(image.shape[:2], mask.shape, strict=True)
        )
        resized: Mask = mask[rows[:, None], columns[None, :]]
        return resized


def _background(image: Pixels, tissue: Mask) -> Pixels:
    """The median colour beside the tissue; white where the slide shows nothing else."""
    beside = image[~tissue]
    return np.median(beside, axis=0).astype(np.uint8) if len(beside) else np.full(3, 255, np.uint8)


def _cut(path: Path, image: Pixels, tissue: Mask, margin: float) -> Pixels:
    rows, columns = np.flatnonzero(tissue.any(1)), np.flatnonzero(tissue.any(0))
    if not len(rows):
        raise ImageError(f"{path} shows no tissue. Leave the slide out, or take it whole with data.crop: false.")
    more = round(margin * max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))
    top, left = max(rows[0] - more, 0), max(columns[0] - more, 0)
    return image[top : rows[-1] + 1 + more, left : columns[-1] + 1 + more]


def _padded(image: Pixels, background: Pixels) -> Pixels:
    height, width, _ = image.shape
    edge = max(height, width)
    square = np.empty((edge, edge, 3), np.uint8)
    square[:] = background
    top, left = (edge - height) // 2, (edge - width) // 2
    square[top : top + height, left : left + width] = image
    return square
