"""A fixed, small description of patches: what stands in for a pretrained encoder on the demo cohort."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pathfuse.demo.histology.fields import Floats

NAME = "demo_statistics"
DIM = 32
_BROWN, _DARK = 0.3, 0.6  # optical densities from which a pixel counts as brown, as dark

# Mean and deviation of each number over the default cohort, both stains together, so that features are of order one.
_CENTRE = np.array([
    0.265, 0.227, 0.109, 0.603, 0.432, 0.231, 0.216, 0.760, 0.268, 0.132, 0.142,
    0.449, 0.003, 0.148, 0.126, 0.194, 0.429, 0.335, 0.926, 1.397, 0.115, 0.115,
    0.067, 0.119, 0.117, 0.066, 0.112, 0.110, 0.060, 0.032, 0.119, 1.739,
], np.float32)  # fmt: skip
_SCALE = np.array([
    0.110, 0.082, 0.045, 0.276, 0.256, 0.092, 0.158, 0.378, 0.141, 0.068, 0.090,
    0.226, 0.084, 0.061, 0.145, 0.201, 0.221, 0.130, 0.455, 0.520, 0.042, 0.047,
    0.040, 0.043, 0.046, 0.035, 0.045, 0.045, 0.029, 0.087, 0.094, 0.656,
], np.float32)  # fmt: skip


def describe(image: NDArray[np.uint8], patch_px: int) -> Floats:
    """Features (N, 32) of the patches of an image (H, W, 3), row by row; both edges are multiples of `patch_px`.

    Statistics of the optical densities of red, green and blue, and of two differences of them that follow DAB and
    haematoxylin: means, deviations, quantiles, and the energy at three scales. Nothing is learned, and no stain is
    known: one description serves all of them, as one frozen network would.
    """
    density = _OPTICAL_DENSITY[image]  # (H, W, 3)
    rows, columns = image.shape[0] // patch_px, image.shape[1] // patch_px
    cut = density.reshape(rows, patch_px, columns, patch_px, 3).transpose(0, 2, 1, 3, 4)
    patches = np.ascontiguousarray(cut).reshape(rows * columns, patch_px, patch_px, 3)  # (N, P, P, 3)
    red, green, blue = (patches[..., channel].reshape(len(patches), -1) for channel in range(3))  # (N, P * P)
    brown, violet = blue - red, red + green - blue
    parts = [
        *(np.column_stack([_moments(channel), _quantiles(channel, (0.1, 0.9))]) for channel in (red, green, blue)),
        *(np.column_stack([_moments(mix), _quantiles(mix, (0.9, 0.98))]) for mix in (brown, violet)),
        _energies(patches),
        np.column_stack([(brown > _BROWN).mean(1), (red > _DARK).mean(1), _skew(red)]),
    ]
    return (np.column_stack(parts).astype(np.float32) - _CENTRE) / _SCALE


_OPTICAL_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def _moments(values: Floats) -> Floats:
    return np.column_stack([values.mean(1), values.std(1)])


def _quantiles(values: Floats, shares: tuple[float, ...]) -> Floats:
    places = [int(share * (values.shape[1] - 1)) for share in shares]
    return np.partition(values, places, axis=1)[:, places]


def _skew(values: Floats) -> Floats:
    centred = values - values.mean(1, keepdims=True)
    skew: Floats = (centred**3).mean(1) / (centred.std(1) ** 3 + np.float32(1e-3))
    return skew


def _energies(patches: Floats) -> Floats:
    """(N, 9) deviation of each channel within squares of 2, 4 and 8 pixels: what is lost from scale to scale."""
    variances = [patches.var((1, 2))]
    for _ in range(3):
        n, edge, _, channels = patches.shape
        patches = patches.reshape(n, edge // 2, 2, edge // 2, 2, channels).mean((2, 4))
        variances.append(patches.var((1, 2)))
    return np.column_stack([np.sqrt(np.maximum(fine - coarse, 0)) for fine, coarse in pairwise(variances)])
