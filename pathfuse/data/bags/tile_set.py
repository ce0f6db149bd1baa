"""Packed batches of patches that are decoded from slides when a batch wants them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pathfuse.cohort import Positions
from pathfuse.core import SlideInfo
from pathfuse.data.bags.packed import CaseFacts, PackedSet, Sampling
from pathfuse.data.bags.tiles import SlideTiles
from pathfuse.data.images.augment import Augmenter
from pathfuse.data.images.dataset import SCALE
from pathfuse.data.images.decode import Pixels, picture_of
from pathfuse.slides.normalise import Normaliser, normalised
from pathfuse.slides.opening import open_slide
from pathfuse.slides.slide import Slide
from pathfuse.store.handles import Handles

MOSAIC = 3  # patches along each edge of a picture
KEPT = 4  # open slides of a process: each keeps decoded tiles in memory
_BAG = 1 << 24  # patches of one case and stain; no bag is that large
_STAINS = 1 << 8


@dataclass(frozen=True)
class TileLook:
    """How a patch looks to the model.

    Attributes:
        size_px: edge of the image.
        stains: per stain, its normalisation; None leaves colours alone.
    """

    size_px: int
    stains: Mapping[str, Normaliser | None]


class TileSet(PackedSet[SlideTiles]):
    """Some cases of a cohort with a bag of images per stain; see `PackedSet`.

    Args:
        slides: per case of the cohort and stain, its slides.
        look: how a patch looks to the model; its stains are those of the bags.
        facts: of the cohort.
        index: positions in the cohort of the cases to show.
        sampling: which patches are read.
        augment: changes every patch by a draw of its own; None leaves them alone.
    """

    def __init__(
        self,
        slides: Sequence[Mapping[str, tuple[SlideTiles, ...]]],
        look: TileLook,
        facts: CaseFacts,
        index: Positions,
        *,
        sampling: Sampling,
        augment: Augmenter | None = None,
    ) -> None:
        super().__init__(slides, tuple(look.stains), facts, index, sampling=sampling)
        self.look = look
        self.augment = augment

    def _empty(self, modality: str, patches: int) -> Tensor:
        return torch.empty(patches, 3, self.look.size_px, self.look.size_px)  # (T, 3, H, W)

    def _read_into(self, out: Tensor, slide: SlideTiles, rows: Positions | None, modality: str) -> Tensor:
        coords = slide.coords if rows is None else slide.coords[rows]
        stain = self.look.stains[modality]
        for image, (x, y) in zip(out.numpy(), coords.tolist(), strict=True):
            pixels = read_tile(slide, x, y, self.look.size_px)  # (H, W, 3)
            np.multiply((pixels if stain is None else normalised(pixels, stain)).transpose(2, 0, 1), SCALE, out=image)
        return torch.from_numpy(coords)

    def _info(self, slide: SlideTiles) -> SlideInfo:
        return SlideInfo(slide.path.stem, slide.mpp, slide.edge_level0, _open.get(str(slide.path)).origin)

    def _change(self, bag: Tensor, epoch: int, case: int, stain: int) -> None:
        if self.augment is not None:
            for row, image in enumerate(bag):
                image.copy_(self.augment(image[None], epoch, (case * _STAINS + stain) * _BAG + row)[0])


def read_tile(slide: SlideTiles, x: int, y: int, size_px: int) -> Pixels:
    """One patch, (size_px, size_px, 3); white where it reaches over the edge of the slide.

    Raises:
        ImageError: if the slide is gone or that part of it cannot be decoded.
    """
    return _open.get(str(slide.path)).read(x, y, slide.edge_level0, size_px)


def mosaic(slides: Sequence[SlideTiles], modality: str, look: TileLook) -> Pixels:
    """A few patches of a bag, evenly spread over it, as one picture (H, W, 3)."""
    places = [(slide, x, y) for slide in slides for x, y in slide.coords.tolist()]
    edge = math.isqrt(min(len(places), MOSAIC * MOSAIC))
    shown = [places[row] for row in np.linspace(0, len(places) - 1, edge * edge).round().astype(int)]
    stain = look.stains[modality]
    tiles = [read_tile(slide, x, y, look.size_px) for slide, x, y in shown]
    painted = np.stack([tile if stain is None else normalised(tile, stain) for tile in tiles])  # (N, h, w, 3)
    grid = painted.reshape(edge, edge, look.size_px, look.size_px, 3).transpose(0, 2, 1, 3, 4)
    return picture_of(grid.reshape(edge * look.size_px, edge * look.size_px, 3).transpose(2, 0, 1))


def _open_slide(path: str) -> Slide:
    return open_slide(Path(path))


def _close_slide(slide: Slide) -> None:
    slide.close()


_open: Handles[Slide] = Handles(_open_slide, _close_slide, kept=KEPT)
