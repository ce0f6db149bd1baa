"""Random changes of a training case: one geometry for all its stains, drawn from (seed, epoch, case)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class Augment:
    """Random changes of training images; the defaults are those of the Corr-A-Net paper, with strengths of our own.

    All stains of a case get the same draw, so they stay on top of each other.

    Args:
        rotation: largest angle in degrees; what turns in from outside is white, the colour of glass. 0 is off.
        flips: mirror left-right and top-bottom, each for half of the cases.
        quarter_turns: turn by 0, 90, 180 or 270 degrees, which brings nothing in from outside.
        intensity: brightness is multiplied by up to 1 plus or minus this. 0 is off.
        contrast: contrast is multiplied by up to 1 plus or minus this. 0 is off.
        smooth: probability of a Gaussian blur, sigma 0.5 to 0.85 px (released Corr-A-Net code: 0.35).
        gamma: probability of a gamma from 0.7 to 1.3 (released code: 0.45).
        sharpen: probability of Gaussian sharpening (released code: 0.45).
        crop: smallest share of the area that a random crop keeps (released classifier code: 0.8). 1 is off.
    """

    rotation: float = 180.0
    flips: bool = True
    intensity: float = 0.1
    contrast: float = 0.1
    smooth: float = 0.0
    gamma: float = 0.0
    sharpen: float = 0.0
    crop: float = 1.0
    quarter_turns: bool = False

    def __post_init__(self) -> None:
        for name in ("intensity", "contrast", "smooth", "gamma", "sharpen"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise RecipeError(f"augment.{name} is {value}; give a number from 0 to 1.")
        if not 0 <= self.rotation <= 180:
            raise RecipeError(f"augment.rotation is {self.rotation}; give degrees from 0 to 180.")
        if not 0 < self.crop <= 1:
            raise RecipeError(f"augment.crop is {self.crop}; give the smallest share of the area, above 0 to 1.")


class Augmenter:
    """Applies the options to one case at a time.

    Args:
        options: what to draw.
        size_px: edge of the images.
        seed: of all draws.
    """

    def __init__(self, options: Augment, size_px: int, seed: int) -> None:
        self.seed = seed
        self.steps = _torchvision_steps(options, size_px)
        self.released = _released_steps(options)

    def __call__(self, images: Tensor, epoch: int, index: int) -> Tensor:
        """Changes the stains (M, 3, H, W) in [0, 1] of one case; the same epoch and case give the same result."""
        seed = int(np.random.SeedSequence([self.seed, epoch, index]).generate_state(1)[0])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a traceback for every device
            for step in self.steps:
                images = step(images)
        if self.released is not None:
            images = self.released(images, seed)
        return images.clamp_(0, 1)


def quarter_turn(images: Tensor) -> Tensor:
    """Images (M, 3, H, W) turned by 0, 90, 180 or 270 degrees."""
    return torch.rot90(images, int(torch.randint(4, ())), dims=(-2, -1))


def _negative(images: Tensor) -> Tensor:
    return 1 - images


def _torchvision_steps(options: Augment, size_px: int) -> list[Callable[[Tensor], Tensor]]:
    from torchvision.transforms import v2  # type: ignore[import-untyped]  # with torch's compiler; predictions draw nothing

    steps: list[Callable[[Tensor], Tensor]] = []
    if options.flips:
        steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    if options.quarter_turns:
        steps.append(quarter_turn)
    if options.rotation:
        # As a negative: interpolation fades to 0 at the edge, which is a dark line on white but white on the negative.
        turn = v2.RandomRotation(options.rotation, interpolation=v2.InterpolationMode.BILINEAR, fill=0.0)
        steps += [_negative, turn, _negative]
    if options.crop < 1:
        steps.append(v2.RandomResizedCrop(size_px, scale=(options.crop, 1.0), antialias=True))
    if options.intensity or options.contrast:
        steps.append(v2.ColorJitter(brightness=options.intensity, contrast=options.contrast))
    return steps


def _released_steps(options: Augment) -> Callable[[Tensor, int], Tensor] | None:
    """The three transforms of the released Corr-A-Net code, MONAI's; imported only where they are wanted."""
    if not (options.smooth or options.gamma or options.sharpen):
        return None
    from monai.transforms.intensity.array import RandAdjustContrast, RandGaussianSharpen, RandGaussianSmooth

    sigma = (0.5, 0.85)
    steps: list[Any] = [
        RandGaussianSmooth(sigma, sigma, sigma, prob=options.smooth),
        RandAdjustContrast(prob=options.gamma, gamma=(0.7, 1.3)),
        RandGaussianSharpen(prob=options.sharpen),
    ]

    def apply(images: Tensor, seed: int) -> Tensor:
        for number, step in enumerate(steps):
            step.set_random_state((seed + number) % 2**32)  # not one seed for all: they would go on and off together
            step.randomize(None)
            images = torch.stack([torch.as_tensor(step(image, randomize=False)) for image in images])
        return images.as_subclass(Tensor)

    return apply
