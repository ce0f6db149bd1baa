"""Metrics per group of cases, such as sites, and whether a group differs from the rest by more than chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np

from pathfuse.evaluate.metrics.multiplicity import holm
from pathfuse.evaluate.metrics.resampled import Scorer
from pathfuse.evaluate.metrics.resampling import bootstrap, observed, percentile_interval, statistic
from pathfuse.evaluate.metrics.standard import metric_named
from pathfuse.evaluate.names import in_sentence, metric_name
from pathfuse.runs.rows import Index, Rows, Values

METRICS = ("balanced_accuracy", "auroc")
DRAWS, PERMUTATIONS = 1000, 2000
CHUNK = 250
ALPHA = 0.05


@dataclass(frozen=True)
class GroupValue:
    """A metric of one group beside that of all other cases.

    Attributes:
        group: the value of the column.
        metric: name of the metric.
        n_cases: cases of the group.
        n_patients: their patients.
        fewest: cases of the rarest class that occurs in it.
        value: the metric in the group, with the interval `low` to `high` over patients.
        low: lower limit.
        high: upper limit.
        gap: the metric of the group less that of the rest, with the interval `gap_low` to `gap_high`.
        gap_low: lower limit.
        gap_high: upper limit.
        p: how often a gap as large comes about if cases of one label are dealt out among the groups at random.
        p_holm: the same, adjusted for all groups.
    """

    group: str
    metric: str
    n_cases: int
    n_patients: int
    fewest: int
    value: float
    low: float
    high: float
    gap: float
    gap_low: float
    gap_high: float
    p: float
    p_holm: float = nan


def group_values(
    passes: Sequence[Rows],
    patients: Sequence[str],
    cells: Sequence[str],
    classes: tuple[str, ...],
    *,
    metrics: Sequence[str] = METRICS,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[GroupValue]:
    """Every metric in every group, and how it differs from the rest; nothing where there is but one group.

    The test deals the group names out anew among the patients of one label, so that a group with other labels than the
    rest is no gap by itself. Patients, never cases, are drawn and dealt out.

    Args:
        passes: predictions of the N cases, one or several times.
        patients: their patients.
        cells: (N,) the group of each case; cases without one are left out.
        classes: class names.
        metrics: names as in `metrics.json`.
        draws: cohorts of the intervals.
        permutations: of the test.
        seed: same seed, same numbers.
    """
    keep = np.array([row for row, cell in enumerate(cells) if cell], dtype=np.int64)
    groups = sorted({cells[row] for row in keep})
    if len(groups) < 2:
        return []
    rows = [one.take(keep) for one in passes]
    of_patient = np.asarray([patients[row] for row in keep], dtype=str)
    of_group = np.asarray([cells[row] for row in keep], dtype=str)
    found: list[GroupValue] = []
    for name in metrics:
        scorer = statistic(metric_named(name, classes), rows)
        own = _Job(scorer, rows[0].target, of_patient, of_group, draws, permutations, seed)
        values = [own.value(name, group) for group in groups]
        adjusted = holm([one.p for one in values])
        found += [replace(one, p_holm=p) for one, p in zip(values, adjusted, strict=True)]
    return found


def group_sentence(found: Sequence[GroupValue], column: str) -> str:
    """What the groups say, in one sentence: the one that differs most, or that none does."""
    own = [one for one in found if one.metric == found[0].metric and not isnan(one.p)] if found else []
    if not own:
        return ""
    one = min(own, key=lambda own: (own.p_holm, -abs(own.gap)))
    name = in_sentence(metric_name(one.metric))
    if one.p_holm >= ALPHA:
        return f"No {column} differs from the others in {name} by more than chance explains (least p {one.p_holm:.2g})."
    less = one.gap < 0
    low, high = (-one.gap_high, -one.gap_low) if less else (one.gap_low, one.gap_high)
    return (
        f"{column} {one.group}: {name} is {abs(one.gap):.2f} {'lower' if less else 'higher'} than elsewhere "
        f"({low:.2f} to {high:.2f}; p {one.p_holm:.2g}, Holm)."
    )


def cells_of(columns: Sequence[Mapping[str, str]], column: str, case_ids: Sequence[str]) -> list[str]:
    """The cell of every case in a column of `columns.csv`; empty where there is none."""
    known = {row["case_id"]: row.get(column) or "" for row in columns}
    return [known.get(case, "") for case in case_ids]


@dataclass(frozen=True)
class _Job:
    """One metric of cases in groups."""

    scorer: Scorer
    target: Index
    patients: np.ndarray[tuple[int], np.dtype[np.str_]]
    groups: np.ndarray[tuple[int], np.dtype[np.str_]]
    draws: int
    permutations: int
    seed: int

    def value(self, metric: str, group: str) -> GroupValue:
        here = self.groups == group
        owner = np.unique(self.patients, return_inverse=True)[1].astype(np.int64)
        mask = here.astype(np.float64)
        drawn = bootstrap({"own": self._of(mask), "gap": self._gap(mask)}, owner, draws=self.draws, seed=self.seed)
        low, high = self._limits(drawn["own"], here)
        gap_low, gap_high = self._limits(drawn["gap"], here)
        counts = np.bincount(self.target[here])
        return GroupValue(
            group,
            metric,
            int(here.sum()),
            len(set(self.patients[here].tolist())),
            int(counts[counts > 0].min()),
            observed(self._of(mask), len(mask)),
            low,
            high,
            observed(self._gap(mask), len(mask)),
            gap_low,
            gap_high,
            self._p(group),
        )

    def _limits(self, drawn: Values, here: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[float, float]:
        # One patient drawn again is the same patient.
        return percentile_interval(drawn) if len(set(self.patients[here].tolist())) > 1 else (nan, nan)

    def _of(self, mask: Values) -> Scorer:
        return lambda weight: self.scorer(weight * mask)

    def _gap(self, mask: Values) -> Scorer:
        return lambda weight: self.scorer(weight * mask) - self.scorer(weight * (1 - mask))

    def _p(self, group: str) -> float:
        """Two-sided, around the gap that dealing out gives on average: a class may lack in a small group."""
        deal, generator = self._dealing(group), np.random.default_rng([self.seed, 2])
        real = observed(self._gap((self.groups == group).astype(np.float64)), len(self.groups))
        parts = []
        for start in range(0, self.permutations, CHUNK):
            mask = deal(generator, min(CHUNK, self.permutations - start))
            parts.append(self.scorer(mask) - self.scorer(1 - mask))
        chance = np.concatenate(parts)
        chance = chance[~np.isnan(chance)]
        if isnan(real) or not len(chance):
            return nan
        middle = chance.mean()
        further = np.abs(chance - middle) >= abs(real - middle) - 1e-12
        return float((1 + further.sum()) / (1 + len(chance)))

    def _dealing(self, group: str) -> Callable[[np.random.Generator, int], Values]:
        """Makes masks (K, N) of the group, dealt out anew among the patients of one label."""
        keys = np.char.add(np.char.add(self.patients, "\n"), self.groups)
        _, first, unit = np.unique(keys, return_index=True, return_inverse=True)  # a patient within a group
        inside = self.groups[first] == group  # (U,)
        labels = [",".join(map(str, sorted(set(self.target[unit == own].tolist())))) for own in range(len(first))]
        strata = [np.flatnonzero(np.asarray(labels) == label) for label in sorted(set(labels))]

        def deal(generator: np.random.Generator, count: int) -> Values:
            dealt = np.empty((count, len(first)))
            for members in strata:
                own = np.tile(inside[members].astype(np.float64), (count, 1))
                dealt[:, members] = generator.permuted(own, axis=1)
            return dealt.take(unit, axis=1)

        return deal
