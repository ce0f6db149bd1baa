"""Data specifications to try a component on."""

from __future__ import annotations

from dataclasses import replace

from pathfuse.core import DataSpec, ModalitySpec
from pathfuse.core.spec import Kind

STAINS = ("he", "ihc", "ki67", "er", "pr")
CLASSES = ("0", "1+", "2+", "3+")


def stains(
    count: int = 2, *, kind: Kind = "image", size_px: int = 32, width: int | None = None, classes: int = 4
) -> DataSpec:
    """Some stains of one kind, and HER2-like classes of unequal size.

    Args:
        count: number of stains, 1 to 5; the first two are `he` and `ihc`.
        kind: `image`, `patches`, `features` or `vector`.
        size_px: edge of images and patches in pixels.
        width: channels of an image, or length of a vector; 3 and 12 if not given.
        classes: number of classes.
    """
    of_features = kind in ("features", "vector")
    wide = width or (12 if of_features else 3)
    modalities = tuple(ModalitySpec(name, kind, wide, None if of_features else size_px) for name in STAINS[:count])
    names = CLASSES if classes == 4 else tuple(str(index) for index in range(classes))
    return DataSpec(modalities, names, tuple(5 + 3 * index for index in range(classes)))


def with_vector(spec: DataSpec, width: int = 5) -> DataSpec:
    """The same data with a table of the patients: a modality `clinical`, one vector per case.

    Args:
        spec: the data.
        width: length of the vector.
    """
    return replace(spec, modalities=(*spec.modalities, ModalitySpec("clinical", "vector", width)))


TWO_STAINS = stains(2)
THREE_STAINS = stains(3)
TWO_BAGS = stains(2, kind="features")
THREE_BAGS = stains(3, kind="features")
STAINS_AND_VECTOR = with_vector(TWO_STAINS)
BAGS_AND_VECTOR = with_vector(TWO_BAGS)
