"""The signed-rank test over the folds of a cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, wilcoxon  # type: ignore[import-untyped]

from pathfuse.evaluate.resampling import observed
from pathfuse.evaluate.scored import Rows
from pathfuse.evaluate.weighted import Metric

FEWEST = 5  # with fewer folds no outcome has a two-sided p below 0.1


class SignedRank(NamedTuple):
    """Folds in which both are defined, two-sided p, and the effect size from -1 to 1."""

    folds: int
    p: float
    rank_biserial: float


def signed_rank(metric: Metric, first: Sequence[tuple[str, Rows]], second: Sequence[tuple[str, Rows]]) -> SignedRank:
    """Wilcoxon's signed-rank test of a metric over folds; NaN with fewer than five of them.

    Folds share training patients, so p is an approximation; the tests over patients do not have this defect.

    Args:
        metric: what is compared.
        first: name and cases of each fold of one run.
        second: the same folds of the other.
    """
    values = [
        (observed(metric.scorer(one), len(one)), observed(metric.scorer(other), len(other)))
        for (_, one), (_, other) in zip(first, second, strict=True)
    ]
    apart = np.array([one - other for one, other in values if not np.isnan(one - other)])
    return signed_rank_of(apart)


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
