"""Area resampling: every output pixel is the mean of exactly the area that it covers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
EXACT = 1e-6  # pixels; less is rounding of coordinates


def area_resample(image: Pixels, box: tuple[float, float, float, float], width: int, height: int) -> Pixels:
    """A part of an image at another size.

    Whole-number reductions and all others give the mean over the area of each output pixel, with fractional edges;
    enlarging interpolates linearly.

    Args:
        image: RGB, uint8, (H, W, 3).
        box: left, top, width and height of the part, in pixels of the image; may be fractional.
        width: pixels of the result, across.
        height: pixels of the result, down.
    """
    left, top, wide, high = box
    factor = _whole(wide / width)
    aligned = factor is not None and factor == _whole(high / height) and _whole(left) is not None
    if aligned and factor is not None and _whole(top) is not None:
        x, y = round(left), round(top)
        part = image[y : y + height * factor, x : x + width * factor]
        return part if factor == 1 else np.asarray(Image.fromarray(part).reduce(factor))
    if wide < width or high < height:
        frame = (left, top, min(left + wide, image.shape[1]), min(top + high, image.shape[0]))
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=frame))
    down = _weights(image.shape[0], _key(top), _key(high), height)
    across = _weights(image.shape[1], _key(left), _key(wide), width)
    rows = down @ image.reshape(len(image), -1).astype(np.float32)  # (height, W * 3)
    turned = rows.reshape(height, image.shape[1], 3).transpose(1, 0, 2).reshape(image.shape[1], -1)
    both = (across @ turned).reshape(width, height, 3)
    both += np.float32(0.5)
    return np.ascontiguousarray(both.astype(np.uint8).transpose(1, 0, 2))  # (height, width, 3)


def _whole(value: float) -> int | None:
    near = round(value)
    return near if near >= 0 and abs(value - near) < EXACT else None


def _key(value: float) -> float:
    return round(value, 6)  # so that equal boxes at large coordinates share their weights


@lru_cache(maxsize=256)
def _weights(pixels: int, start: float, length: float, count: int) -> Any:  # noqa: ANN401 - scipy has no types
    """Share of every input pixel in every output pixel, (count, pixels), rows summing to 1."""
    edges = start + np.arange(count + 1) * (length / count)
    edges = edges.clip(0, pixels)
    first = np.floor(edges[:-1]).astype(int)
    reach = int(np.ceil(length / count)) + 1
    column = first[:, None] + np.arange(reach)  # (count, reach)
    share = np.minimum(edges[1:, None], column + 1) - np.maximum(edges[:-1, None], column)
    share = np.where(column < pixels, share.clip(0), 0)
    share /= np.maximum(share.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    row = np.repeat(np.arange(count), reach)
    flat = (share.astype(np.float32).ravel(), (row, column.ravel().clip(max=pixels - 1)))
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # only where a picture is resampled

    weights = csr_matrix(flat, shape=(count, pixels))
    weights.eliminate_zeros()
    return weights
