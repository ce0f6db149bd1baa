"""How far the balanced accuracy may be off: a percentile interval from patients drawn again and again."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a comparison of runs reads files and loads no torch
    from torch import Tensor

CELLS = 1 << 22  # counts of drawn patients that are in memory at a time


class Interval(NamedTuple):
    """The limits of a confidence interval; NaN if it cannot be had."""

    low: float
    high: float


def balanced_accuracy_interval(
    prob: Tensor, target: Tensor, patients: Sequence[str], *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The percentile interval of the balanced accuracy when patients, not cases, are drawn with replacement.

    Args:
        prob: (N, C) class distribution.
        target: (N,) class index; cases with -1 are left out.
        patients: the patient of each of the N cases.
        draws: how often a cohort of the same number of patients is drawn.
        level: share of the draws inside the interval.
        seed: same seed, same interval.
    """
    known = (target >= 0).nonzero().squeeze(1).cpu().numpy()
    truth = target.cpu().numpy()[known]
    correct = prob.argmax(1).cpu().numpy()[known] == truth
    names, owner = np.unique(np.asarray([patients[row] for row in known], dtype=str), return_inverse=True)
    # One patient drawn again is the same patient: an interval of width 0 would be a lie.
    if len(names) < 2:
        return Interval(nan, nan)
    shape, cell = (len(names), prob.shape[1]), owner * prob.shape[1] + truth
    cases, right = (np.bincount(cell[rows], minlength=shape[0] * shape[1]) for rows in (slice(None), correct))
    counts = np.stack([cases.reshape(shape), right.reshape(shape)], axis=1).astype(np.float64)
    values = _balanced(_drawn(counts, draws, np.random.default_rng(seed)))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _drawn(counts: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """The counts (K, 2, C) of cohorts of as many patients, from those of each patient (P, 2, C): cases, and right."""
    patients = len(counts)
    size = max(1, CELLS // patients)
    parts = []
    for start in range(0, draws, size):
        count = min(size, draws - start)
        drawn = generator.integers(0, patients, size=(count, patients))
        flat = (drawn + patients * np.arange(count)[:, None]).ravel()
        times = np.bincount(flat, minlength=count * patients).reshape(count, patients)
        parts.append(times @ counts.reshape(patients, -1))
    return np.concatenate(parts).reshape(draws, *counts.shape[1:])


def _balanced(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean recall (K,) over the classes that a cohort holds."""
    there = counts[:, 0] > 0  # (K, C)
    recall = np.divide(counts[:, 1], counts[:, 0], out=np.zeros_like(counts[:, 0]), where=there)
    mean: NDArray[np.float64] = recall.sum(1) / there.sum(1)
    return mean
