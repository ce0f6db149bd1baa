"""Cohorts drawn again, and labels of models exchanged, always by patient and always from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import nan
from typing import NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from pathfuse.evaluate.metrics.counted import BalancedAccuracy
from pathfuse.evaluate.metrics.resampled import Resampled, Scorer
from pathfuse.runs.rows import Index, Rows, Values

Name = TypeVar("Name")

CHUNK = 256  # cohorts at a time: their weights stay in the cache of a core
TIE = 1e-12  # sums in another order differ by less; two equal statistics must count as equal


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
    names, owner = np.unique(np.asarray([patients[row] for row in known], dtype=str), return_inverse=True)
    # One patient drawn again is the same patient: an interval of width 0 would be a lie.
    if len(names) < 2:
        return Interval(nan, nan)
    shown = prob.detach().cpu().numpy()[known]
    rows = Rows(shown, shown.argmax(1), target.cpu().numpy()[known], shown.max(1))
    metric = BalancedAccuracy()
    scorer = metric.scorer(rows, metric.key, [str(index) for index in range(prob.shape[1])])
    drawn = bootstrap({metric.key: scorer}, owner.astype(np.int64), draws=draws, seed=seed)
    return percentile_interval(drawn[metric.key], level)


def statistic(metric: Resampled, passes: Sequence[Rows]) -> Scorer:
    """The metric as a function of case weights, averaged over the passes of a run."""
    return averaged([metric.scorer(rows) for rows in passes])


def averaged(scorers: Sequence[Scorer]) -> Scorer:
    """The mean of several values."""
    if len(scorers) == 1:
        return scorers[0]
    return lambda weight: np.mean([scorer(weight) for scorer in scorers], axis=0)


def observed(scorer: Scorer, cases: int) -> float:
    """The value for the cases as they are."""
    return float(scorer(np.ones((1, cases)))[0])


def bootstrap(scorers: Mapping[Name, Scorer], owner: Index, *, draws: int, seed: int) -> dict[Name, Values]:
    """Every value in cohorts of as many patients, drawn with replacement; the same cohorts for all of them.

    Args:
        scorers: what is computed.
        owner: (N,) number of the patient of every case.
        draws: how many cohorts.
        seed: same seed, same cohorts.
    """
    patients = int(owner.max()) + 1
    generator = np.random.default_rng(seed)

    def cohorts(count: int) -> Values:
        drawn = generator.integers(0, patients, size=(count, patients))
        flat = (drawn + patients * np.arange(count)[:, None]).ravel()
        times = np.bincount(flat, minlength=count * patients).reshape(count, patients).astype(np.float64)
        return times.take(owner, axis=1)  # (K, N)

    return _collect(scorers, cohorts, draws)


def permutation_p(
    metric: Resampled, first: Sequence[Rows], second: Sequence[Rows], owner: Index, *, draws: int, seed: int
) -> float:
    """Two-sided mid-p: how often models exchanged by the toss of a coin, per patient, differ more than the real ones.

    Exchanges that differ exactly as much count one half. For a metric that takes few values, such as accuracy, counting
    them whole would reject true hypotheses far less often than it says; for others there are next to none. Ranking
    metrics exchange ranks, so that models whose scores live on different scales can be exchanged at all.

    Args:
        metric: what differs.
        first: passes of one run.
        second: as many passes of the other, the same cases in the same order.
        owner: (N,) number of the patient of every case.
        draws: how many exchanges.
        seed: same seed, same p.

    Source: Fagerland, Lydersen, Laake 2013, doi:10.1186/1471-2288-13-91, the mid-p test of McNemar, which this is for
    accuracy with one case per patient; Bandos, Rockette, Gur 2005, doi:10.1002/sim.2149, for the ranks.
    Departs: the tosses are drawn; the identity is one of the exchanges and counts whole, so p is never below
    1 / (1 + draws). Where no exchange changes anything p is 1.
    """
    mixed = [Rows.cat(*(rows.ranked() if metric.ranking else rows for rows in pair)) for pair in _pairs(first, second)]
    scorer = statistic(metric, mixed)
    generator = np.random.default_rng([seed, 1])
    patients, cases = int(owner.max()) + 1, len(owner)

    def difference(swapped: Values) -> Values:
        kept = 1 - swapped
        one, other = np.concatenate([kept, swapped], axis=1), np.concatenate([swapped, kept], axis=1)
        return np.abs(scorer(one) - scorer(other))

    def tosses(count: int) -> Values:
        return generator.integers(0, 2, size=(count, patients)).astype(np.float64).take(owner, axis=1)

    real = float(difference(np.zeros((1, cases)))[0])
    if np.isnan(real):
        return nan
    chance = _collect({"difference": difference}, tosses, draws)["difference"]
    equal = np.abs(chance - real) <= TIE
    if equal.all():
        return 1.0
    # A metric that is not defined after an exchange counts against us.
    more = np.isnan(chance) | (chance > real + TIE)
    return float((1 + more.sum() + equal.sum() / 2) / (1 + draws))


def percentile_interval(values: Values, level: float = 0.95) -> Interval:
    """The limits of the middle share of the values; draws in which a metric is not defined are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(nan, nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _pairs(first: Sequence[Rows], second: Sequence[Rows]) -> Iterator[tuple[Rows, Rows]]:
    return zip(first, second, strict=True)


def _collect(scorers: Mapping[Name, Scorer], weights: Callable[[int], Values], draws: int) -> dict[Name, Values]:
    result = {name: np.empty(draws) for name in scorers}
    for start in range(0, draws, CHUNK):
        count = min(CHUNK, draws - start)
        chunk = weights(count)  # (K, N)
        for name, scorer in scorers.items():
            result[name][start : start + count] = scorer(chunk)
    return result
