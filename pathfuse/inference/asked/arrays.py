"""Images and bags at hand as arrays, checked and written as files, so that they are prepared as in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pathfuse.errors import ImageError, StoreError

Array = NDArray[Any]


def is_array(value: object) -> bool:
    """Whether something is an array or tensor, or a list of them."""
    if isinstance(value, list | tuple):
        return bool(value) and all(is_array(one) for one in value)
    return isinstance(value, np.ndarray | Tensor)


def as_arrays(value: object) -> list[Array]:
    """An array, a tensor or a list of them, as a list of arrays."""
    if isinstance(value, list | tuple):
        return [array for one in value for array in as_arrays(one)]
    return [value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)]


def images_of(value: object, name: str, notes: list[str]) -> list[NDArray[np.uint8]]:
    """Images as (H, W, 3) uint8, from arrays of one image or of several.

    Args:
        value: (H, W, 3) or (3, H, W), with one more dimension in front for several, or a list of them.
        name: of the modality, for messages.
        notes: what was converted is added here.

    Raises:
        ImageError: if it is no image: another shape, type or range.
    """
    found: list[NDArray[np.uint8]] = []
    for array in as_arrays(value):
        several = array if array.ndim == 4 else array[None]
        if several.ndim != 4 or 3 not in (several.shape[-1], several.shape[1]):
            raise ImageError(
                f"{name}: an image is (H, W, 3) or (3, H, W), several are (N, H, W, 3); this is {array.shape}."
            )
        last = several if several.shape[-1] == 3 else np.moveaxis(several, 1, -1)  # (N, H, W, 3)
        found += list(_bytes(last, name, notes))
    return found


def _bytes(images: Array, name: str, notes: list[str]) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return np.asarray(images)
    if images.dtype == np.uint16:
        notes.append(f"{name}: 16 bits per channel keep the upper 8.")
        return np.asarray(images >> 8, dtype=np.uint8)
    if not np.issubdtype(images.dtype, np.floating):
        raise ImageError(f"{name}: values of type {images.dtype} have no range. Give uint8, or floats from 0 to 1.")
    low, high = (float(end) for end in (images.min(initial=0), images.max(initial=0)))
    if not np.isfinite(images).all() or low < 0 or high > 1:
        what = "NaN or infinity" if not np.isfinite(images).all() else f"values from {low:.4g} to {high:.4g}"
        raise ImageError(f"{name}: floats are read from 0 to 1, and there are {what}. Give uint8, or divide by 255.")
    notes.append(f"{name}: floats from 0 to 1 are taken as 256 grey levels.")
    return np.asarray(np.rint(images * 255), dtype=np.uint8)


def bags_of(value: object, name: str) -> list[NDArray[np.float32]]:
    """Bags (T, D) of floats from arrays.

    Raises:
        StoreError: if one is no table of features, or not finite.
    """
    found = []
    for array in as_arrays(value):
        for bag in array if array.ndim == 3 else (array,):
            if bag.ndim != 2 or not np.issubdtype(bag.dtype, np.floating):
                raise StoreError(f"{name}: a bag is (patches, width) of floats; this is {bag.dtype} {array.shape}.")
            if not np.isfinite(bag).all():
                row = int(np.argwhere(~np.isfinite(bag))[0][0])
                raise StoreError(f"{name}: patch {row} has NaN or infinite features. Extract it again.")
            found.append(np.asarray(bag, dtype=np.float32))
    return found


def write_arrays(
    folder: Path, given: Mapping[str, object], in_bags: Mapping[str, bool], notes: list[str]
) -> dict[str, list[Path]]:
    """Arrays of every modality as files, images as PNG and bags as .npy, both without loss.

    Args:
        folder: where they go.
        given: per modality, its arrays.
        in_bags: per modality, whether a case has a bag of it.
        notes: what was converted is added here.
    """
    files: dict[str, list[Path]] = {}
    for name, value in given.items():
        files[name] = []
        arrays: Sequence[Array] = bags_of(value, name) if in_bags[name] else images_of(value, name, notes)
        for number, array in enumerate(arrays):
            path = folder / f"{number:06d}_{name}{'.npy' if in_bags[name] else '.png'}"
            if in_bags[name]:
                np.save(path, array)
            else:
                Image.fromarray(array).save(path)
            files[name].append(path)
    return files
