"""The image transform of an encoder, on tensors: resize the shorter edge, cut out the middle."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resize_and_crop(images: Tensor, *, resize_px: int, crop_px: int, interpolation: str) -> Tensor:
    """Images (N, C, H, W) in [0, 1] as squares (N, C, crop_px, crop_px) in [0, 1].

    Args:
        images: the images.
        resize_px: the shorter edge after resizing; the longer one keeps the proportion.
        crop_px: edge of the middle that is kept.
        interpolation: `bilinear` or `bicubic`, both with antialiasing, as Pillow does it.

    Departs: of Pillow, which rounds to 256 steps after resizing; here nothing is rounded.
    """
    height, width = images.shape[-2:]
    short = min(height, width)
    if short != resize_px:
        size = (int(resize_px * height / short), int(resize_px * width / short))
        # Half-precision types have no antialiasing on every device.
        resized = functional.interpolate(images.float(), size, mode=interpolation, antialias=True)
        images = resized.clamp(0, 1).to(images.dtype)
    return _middle(images, crop_px)


def _middle(images: Tensor, edge: int) -> Tensor:
    height, width = images.shape[-2:]
    top, left = round((height - edge) / 2), round((width - edge) / 2)
    return images[..., top : top + edge, left : left + edge]


def statistics(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Mean and deviation as (1, C, 1, 1)."""
    return torch.tensor(mean).view(1, -1, 1, 1), torch.tensor(std).view(1, -1, 1, 1)
