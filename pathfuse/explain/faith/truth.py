"""Maps against masks of where the signal is: areas under the ROC curve, beside those of random maps."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from pathfuse.evaluate.metrics.ranking import area

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]
Truth = Callable[[str, str], Mask | None]
"""Case id and stain to the mask (H, W) of where the signal is; None where it is unknown."""

SIGNAL = {"he": "nuclei", "ihc": "membrane"}
"""Mask of the demo cohort that says where a stain carries the score: tumour nuclei, and tumour membranes."""

RANDOM_GRID = 8
"""A random map is drawn this coarse, like the maps it stands beside; noise per pixel would flatter them."""


@dataclass(frozen=True)
class TruthScore:
    """How well maps find the truth, as means over cases.

    Attributes:
        auc: area under the ROC curve of the map's values against the mask; 0.5 is chance.
        random_auc: the same for a random map of each case.
        cases: cases whose mask has both values; the others cannot be scored.
    """

    auc: float
    random_auc: float
    cases: int


def truth_beside(table: Path, signal: Mapping[str, str] = SIGNAL) -> Truth | None:
    """The masks in `truth/<mask>/<case>.png` beside a case table, as the demo cohort has them; None without any.

    Args:
        table: the case table, or the folder that holds it.
        signal: per stain, the mask that counts as truth.
    """
    folder = (table if table.is_dir() else table.parent) / "truth"
    if not folder.is_dir():
        return None

    def find(case_id: str, modality: str) -> Mask | None:
        path = folder / signal.get(modality, "") / f"{case_id}.png"
        if not path.is_file():
            return None
        with Image.open(path) as image:
            return np.asarray(image.convert("L")) > 127

    return find


def auc_of(values: Map, truth: Mask) -> float | None:
    """The area under the ROC curve of a map (h, w) against a mask (H, W); None if the mask is all one value."""
    if truth.all() or not truth.any():
        return None
    return area_of(resized(values, truth.shape).ravel(), truth.ravel())


def area_of(score: Map, positive: Mask) -> float:
    """The area under the ROC curve of scores (N,) of which some are positive (N,); ties count one half."""
    return float(area(score.astype(np.float64), positive)(np.ones((1, len(score))))[0])


def random_map(case_id: str, seed: int) -> Map:
    """A smooth map of noise in [0, 1]; the same for the same case and seed."""
    return np.random.default_rng([seed, zlib.crc32(case_id.encode())]).random((RANDOM_GRID, RANDOM_GRID))


def random_map_of(case_id: str, modality: str, size: tuple[int, ...], seed: int) -> Map:
    """A random map of one stain of a case, at the size (H, W) of its image."""
    return resized(random_map(f"{case_id}/{modality}", seed), size)


def mean_score(scores: Sequence[tuple[float, float]]) -> TruthScore:
    """The mean of (map, random map) pairs; NaN without any."""
    if not scores:
        return TruthScore(float("nan"), float("nan"), 0)
    of_maps, of_random = zip(*scores, strict=True)
    return TruthScore(float(np.mean(of_maps)), float(np.mean(of_random)), len(scores))


def resized(values: Map, size: tuple[int, ...]) -> Map:
    """A map (h, w) at another size (H, W), bilinear."""
    tensor = torch.as_tensor(values, dtype=torch.float64)[None, None]
    grown: Map = functional.interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    return grown
