"""Random changes of slide thumbnails: placed and lit differently, never stained differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from pathfuse.data.images.augment import Augment, Augmenter, quarter_turn
from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class ThumbnailAugment(Augment):
    """Random changes of training thumbnails, the same for all stains of a case.

    Hue and saturation stay as they are: the colour of DAB is what is to be read.

    Args:
        rotation: largest angle in degrees on top of the quarter turns; what turns in from outside has the
            colour of the corners, which is that of the glass.
        flips: mirror left-right and top-bottom, each for half of the cases.
        intensity: brightness is multiplied by up to 1 plus or minus this. 0 is off.
        contrast: contrast is multiplied by up to 1 plus or minus this. 0 is off.
        smooth: probability of a Gaussian blur.
        gamma: probability of a gamma from 0.7 to 1.3.
        sharpen: probability of Gaussian sharpening.
        crop: smallest share of the area that a random crop keeps. 1 is off.
        quarter_turns: turn by 0, 90, 180 or 270 degrees.
        zoom: size is multiplied by up to 1 plus or minus this. 0 is off.
    """

    rotation: float = 15.0
    quarter_turns: bool = True
    zoom: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.zoom < 1:
            raise RecipeError(f"augment.zoom is {self.zoom}; give a number from 0 to below 1.")


class ThumbnailAugmenter(Augmenter):
    """Applies the options to one case at a time.

    Args:
        options: what to draw.
        size_px: edge of the images.
        seed: of all draws.
    """

    def __init__(self, options: ThumbnailAugment, size_px: int, seed: int) -> None:
        super().__init__(replace(options, rotation=0.0, quarter_turns=False), size_px, seed)
        first: list[Callable[[Tensor], Tensor]] = [quarter_turn] if options.quarter_turns else []
        if options.rotation or options.zoom:
            from torchvision.transforms import v2  # type: ignore[import-untyped]

            scale = (1 - options.zoom, 1 + options.zoom)
            bilinear = v2.InterpolationMode.BILINEAR
            first.append(_OnGlass(v2.RandomAffine(options.rotation, scale=scale, interpolation=bilinear)))
        self.steps = [*first, *self.steps]


class _OnGlass:
    """A change of place on a ground of the slide's own glass instead of black."""

    def __init__(self, place: Callable[[Tensor], Tensor]) -> None:
        self.place = place

    def __call__(self, images: Tensor) -> Tensor:
        corners = images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]  # (M, 3, 4)
        glass = corners.median(2).values[:, :, None, None]
        # Relative to the glass the outside is 0, so that nothing dark is blended in along the edge.
        placed: Tensor = self.place(images - glass) + glass
        return placed
