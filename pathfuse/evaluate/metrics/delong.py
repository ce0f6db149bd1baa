"""The variance of areas under ROC curves without resampling, and the test for two of them.

Source: DeLong, DeLong, Clarke-Pearson 1988, doi:10.2307/2531595; Obuchowski 1997, doi:10.2307/2533958, for several
cases per patient. Ranks as in Sun & Xu 2014, doi:10.1109/LSP.2014.2337313.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from pathfuse.evaluate.metrics.resampling import Interval
from pathfuse.runs.rows import Index, Values

Positive = NDArray[np.bool_]


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curves of M models on the same cases.

    Attributes:
        value: (M,).
        covariance: (M, M).
    """

    value: Values
    covariance: Values

    def interval(self, model: int, level: float = 0.95) -> Interval:
        """The interval of one area, cut off at 0 and 1."""
        half = ndtri((1 + level) / 2) * sqrt(max(self.covariance[model, model], 0))
        area = float(self.value[model])
        return Interval(max(area - half, 0.0), min(area + half, 1.0))


@dataclass(frozen=True)
class AreaTest:
    """Whether two areas differ: `difference` (first minus second), its standard error, z and two-sided p."""

    difference: float
    error: float
    z: float
    p: float


def delong_areas(scores: Sequence[Sequence[Values]], positive: Positive, owner: Index) -> Areas:
    """The areas and how they vary together.

    Args:
        scores: per model, per pass, (N,) score of every case; the area of a model is the mean over its passes.
        positive: (N,) which cases have what is looked for.
        owner: (N,) number of the patient of every case; cases of a patient may depend on each other.
    """
    if not 0 < positive.sum() < len(positive):
        empty = np.full(len(scores), nan)
        return Areas(empty, np.full((len(scores), len(scores)), nan))
    parts = [np.mean([_components(score, positive) for score in passes], axis=0) for passes in scores]
    value = np.array([part[positive].mean() for part in parts])
    up, down = (
        np.stack([_by_patient(part - area, mask, owner) for part, area in zip(parts, value, strict=True)])
        for mask in (positive, ~positive)
    )  # (M, patients)
    m, n = positive.sum(), (~positive).sum()
    with_up, with_down = len(np.unique(owner[positive])), len(np.unique(owner[~positive]))
    both = len(np.unique(owner))
    cross = up @ down.T
    covariance = (
        _corrected(with_up) * (up @ up.T) / m**2
        + _corrected(with_down) * (down @ down.T) / n**2
        + _corrected(both) * (cross + cross.T) / (m * n)
    )
    return Areas(value, covariance)


def delong_test(areas: Areas, first: int = 0, second: int = 1) -> AreaTest:
    """Whether two models on the same cases have the same area; p is 1 if nothing differs at all."""
    contrast = np.zeros(len(areas.value))
    contrast[first], contrast[second] = 1, -1
    difference = float(contrast @ areas.value)
    error = sqrt(max(float(contrast @ areas.covariance @ contrast), 0.0))
    if np.isnan(difference):
        return AreaTest(nan, nan, nan, nan)
    # Rounding leaves a variance of about 1e-19 where two models agree in every order.
    if error < 1e-9:
        return AreaTest(difference, 0.0, nan, 1.0 if abs(difference) < 1e-9 else nan)
    z = difference / error
    return AreaTest(difference, error, z, float(2 * ndtr(-abs(z))))


def _components(score: Values, positive: Positive) -> Values:
    """(N,) per positive, the share of negatives it beats; per negative, the share of positives that beat it."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # half a second, which a prediction does without

    overall = rankdata(score)
    result = np.empty(len(score))
    result[positive] = (overall[positive] - rankdata(score[positive])) / (~positive).sum()
    result[~positive] = 1 - (overall[~positive] - rankdata(score[~positive])) / positive.sum()
    return result


def _by_patient(value: Values, mask: Positive, owner: Index) -> Values:
    return np.bincount(owner[mask], weights=value[mask], minlength=int(owner.max()) + 1).astype(np.float64)


def _corrected(count: int) -> float:
    return count / (count - 1) if count > 1 else nan
