"""How far a metric may be off: percentile intervals from patients drawn again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a comparison of runs reads files and loads no torch
    from torch import Tensor

Rows = NDArray[np.int64]


class Interval(NamedTuple):
    """The limits of a confidence interval; NaN if it cannot be had."""

    low: float
    high: float


def patient_interval(
    metric: Callable[[Rows], float],
    patients: Sequence[str],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of a metric when patients, not cases, are drawn with replacement.

    Args:
        metric: the metric of some rows; a row may occur several times.
        patients: the patient of each row.
        draws: how often a cohort of the same number of patients is drawn.
        level: share of the draws inside the interval.
        seed: same seed, same interval.
    """
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    rows = [np.flatnonzero(owner == index) for index in range(len(names))]
    # One patient drawn again is the same patient: an interval of width 0 would be a lie.
    if len(rows) < 2:
        return Interval(nan, nan)
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(rows), size=(draws, len(rows)))
    values = np.array([metric(np.concatenate([rows[index] for index in draw])) for draw in drawn])
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(nan, nan)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def balanced_accuracy_interval(
    prob: Tensor, target: Tensor, patients: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """The 95 % interval of the balanced accuracy; cases with target -1 are left out.

    Args:
        prob: (N, C) class distribution.
        target: (N,) class index or -1.
        patients: the patient of each of the N cases.
        draws: how often the patients are drawn.
        seed: same seed, same interval.
    """
    known = (target >= 0).nonzero().squeeze(1).cpu().numpy()
    truth = target.cpu().numpy()[known]
    correct = (prob.argmax(1).cpu().numpy()[known] == truth).astype(np.float64)
    classes = prob.shape[1]

    def metric(rows: Rows) -> float:
        size = np.bincount(truth[rows], minlength=classes)
        right = np.bincount(truth[rows], weights=correct[rows], minlength=classes)
        return float(np.mean(right[size > 0] / size[size > 0]))

    return patient_interval(metric, [patients[row] for row in known], draws=draws, seed=seed)
