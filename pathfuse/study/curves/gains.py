"""Gain of one variant over another, over the patients that both were tested on: cohorts, or folds of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import t  # type: ignore[import-untyped]

from pathfuse.evaluate.metrics.tests_over_folds import signed_rank_of
from pathfuse.study.definition.study import Variant
from pathfuse.study.scores import RunScores, subset_of

LEVEL = 0.95
Unit = tuple[object, ...]
ByUnit = Mapping[Unit, Mapping[int, float]]
"""Per unit of patients, the value of every seed."""


class Interval(NamedTuple):
    """A mean over units with its 95 % interval; NaN limits for a single unit."""

    mean: float
    low: float
    high: float
    units: int

    def text(self) -> str:
        """As a cell of a table."""
        if not self.units:
            return "-"
        return f"{self.mean:.3f}" + ("" if isnan(self.low) else f" ({self.low:.3f} to {self.high:.3f})")


class Gain(NamedTuple):
    """The mean difference of two variants over units, in how many the first is better, and the signed-rank p."""

    apart: Interval
    better: int
    p: float


def by_unit(
    value: str, variants: Sequence[Variant], without: Sequence[str], runs: Mapping[str, Sequence[RunScores]]
) -> ByUnit:
    """The values of variants by what they were tested on.

    Args:
        value: a metric, as `RunScores.value` takes it.
        variants: those that stand for one thing.
        without: axes that tell things apart; variants that differ in another are further units.
        runs: the finished runs, by variant.
    """
    found: dict[Unit, dict[int, float]] = {}
    for variant in variants:
        own = runs.get(variant.name, ())
        subset = subset_of(variant, own)
        rest = tuple(name for axis, name in variant.axes.items() if axis not in without)
        for run in own:
            number = run.value(value, subset)
            if not isnan(number):
                found.setdefault((*rest, run.job.repeat, run.job.fold), {})[run.job.seed] = number
    return found


def interval_of(values: Sequence[float]) -> Interval:
    """The mean and its interval by Student's t.

    Args:
        values: one of each unit. Cohorts are independent; folds share training patients, and their interval is an
            approximation.
    """
    known = np.asarray(values, dtype=np.float64)
    if not len(known):
        return Interval(nan, nan, nan, 0)
    mean = float(known.mean())
    if len(known) < 2:
        return Interval(mean, nan, nan, 1)
    half = float(t.ppf((1 + LEVEL) / 2, len(known) - 1)) * float(known.std(ddof=1)) / sqrt(len(known))
    return Interval(mean, mean - half, mean + half, len(known))


def mean_over_seeds(found: ByUnit) -> Interval:
    """The mean over units, each the mean of its seeds: more seeds are no further evidence about other patients."""
    return interval_of([float(np.mean(list(own.values()))) for own in found.values()])


def gain_of(one: ByUnit, other: ByUnit) -> Gain:
    """What the first gains over the second, unit by unit, over the seeds that both have."""
    apart = []
    for unit, own in one.items():
        seeds = [seed for seed in own if seed in other.get(unit, {})]
        if seeds:
            apart.append(float(np.mean([own[seed] - other[unit][seed] for seed in seeds])))
    values = np.array(apart, dtype=np.float64)
    return Gain(interval_of(apart), int((values > 0).sum()), signed_rank_of(values).p)
