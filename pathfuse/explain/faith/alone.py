"""Figures of a map by itself or beside another: sparsity, likeness, and hits on the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def gini(scores: Tensor) -> float:
    """How few places carry the scores: 0 where all are alike, near 1 where one has everything.

    Source: Chalasani et al. 2020, arXiv:1810.06583, section 5: the Gini index of the sizes.
    """
    sizes = np.sort(np.abs(scores.detach().double().cpu().numpy()))
    total = sizes.sum()
    if not total:
        return 0.0
    count = len(sizes)
    return float(1 - 2 * (sizes / total * (count - np.arange(1, count + 1) + 0.5) / count).sum())


def likeness(one: Tensor, other: Tensor) -> float | None:
    """Spearman's correlation of two maps of the same places; None where one is flat."""
    first, second = (scores.detach().double().cpu().numpy().ravel() for scores in (one, other))
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    found = float(spearmanr(first, second).statistic)
    return found if np.isfinite(found) else None


def pointing(values: Map, truth: Mask) -> float:
    """1 where the highest place is in the truth, else 0; several highest ones count by their share.

    Source: Zhang et al. 2016, arXiv:1608.00507, the pointing game.
    """
    return float(truth[values == values.max()].mean())


def overlap(values: Map, truth: Mask) -> float:
    """Intersection over union of the truth and as many of the highest places as the truth has."""
    chosen = np.zeros(truth.size, dtype=bool)
    chosen[np.argsort(-values.ravel(), kind="stable")[: int(truth.sum())]] = True
    flat = truth.ravel()
    return float((chosen & flat).sum() / max(1, (chosen | flat).sum()))
