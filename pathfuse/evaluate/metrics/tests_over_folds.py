"""The signed-rank test over the folds of a cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, wilcoxon  # type: ignore[import-untyped]

from pathfuse.evaluate.metrics.resampled import Resampled
from pathfuse.evaluate.metrics.resampling import observed
from pathfuse.runs.rows import Rows

FEWEST = 5  # with fewer folds no outcome has a two-sided p below 0.1


class SignedRank(NamedTuple):
    """Folds in which both are defined, two-sided p, and the effect size from -1 to 1."""

    folds: int
    p: float
    rank_biserial: float


def signed_rank(metric: Resampled, first: Sequence[tuple[str, Rows]], second: Sequence[tuple[str, Rows]]) -> SignedRank:
    """Wilcoxon's signed-rank test of a metric over folds; NaN with fewer than five of them.

    Seeds of a fold are averaged first: they test the same patients, and are no further evidence about others. Folds
    share training patients, so p is an approximation; the tests over patients do not have this defect.

    Args:
        metric: what is compared.
        first: fold and cases of each model of one run; models of several seeds name the same fold.
        second: the same folds of the other.
    """
    apart: dict[str, list[float]] = {}
    for (fold, one), (_, other) in zip(first, second, strict=True):
        difference = observed(metric.scorer(one), len(one)) - observed(metric.scorer(other), len(other))
        apart.setdefault(fold, []).append(difference)
    means = np.array([float(np.mean(own)) for own in apart.values()])
    return signed_rank_of(means[~np.isnan(means)])


def signed_rank_of(apart: np.ndarray[tuple[int], np.dtype[np.float64]]) -> SignedRank:
    """The test for given differences; equal folds count as folds, not as evidence."""
    moved = apart[np.abs(apart) > 1e-12]
    if len(apart) < FEWEST:
        return SignedRank(len(apart), nan, nan)
    if not len(moved):
        return SignedRank(len(apart), 1.0, 0.0)
    ranks = rankdata(np.abs(moved))
    effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    with warnings.catch_warnings():
        # Older scipy warns that few folds make the normal approximation rough, which it takes where values tie.
        warnings.simplefilter("ignore")
        p = float(wilcoxon(moved).pvalue)
    return SignedRank(len(apart), p, effect)
