"""Values of variants, and the signed-rank test between those that differ in one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isnan

import numpy as np

from pathfuse.evaluate.metrics.tests_over_folds import SignedRank, signed_rank_of
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.naming import named
from pathfuse.study.scores import CASES, RunScores, subset_of

ByVariant = Mapping[str, Sequence[RunScores]]


def values_of(name: str, variant: Variant, by_variant: ByVariant) -> list[float]:
    """A value of every run of a variant; NaN where one has none."""
    runs = by_variant[variant.name]
    subset = subset_of(variant, runs)
    return [run.value(name, subset) for run in runs]


def paired_test(spec: FigureSpec, variants: Sequence[Variant], by_variant: ByVariant) -> list[tuple[str, SignedRank]]:
    """The signed-rank test between values of an axis that follow each other, over variants that differ in it alone.

    Pairs are folds; test cases where the value is one of `cases`.
    """
    groups: dict[tuple[tuple[str, str], ...], dict[str, Variant]] = {}
    for variant in variants:
        rest = tuple((axis, value) for axis, value in variant.axes.items() if axis != spec.by)
        groups.setdefault(rest, {})[variant.axes.get(spec.by, "")] = variant
    values = list(dict.fromkeys(variant.axes.get(spec.by, "") for variant in variants))
    tests = []
    for one, other in pairwise(values):
        apart = [
            mine - theirs
            for group in groups.values()
            if one in group and other in group
            for mine, theirs in _pairs(spec, group[one], group[other], by_variant)
            if not isnan(mine - theirs)
        ]
        if apart:
            tests.append((f"{one} - {other}", signed_rank_of(np.array(apart))))
    return tests


def tests_said(study: Study, value: str, tests: Sequence[tuple[str, SignedRank]]) -> list[str]:
    """A line per test, as it stands in a picture."""
    of = "test cases" if value.startswith(CASES) else "pairs of folds"
    lines = []
    for name, test in tests:
        one, _, other = name.partition(" - ")
        p = f"too few for a test: {test.folds}" if isnan(test.p) else f"Wilcoxon p {test.p:.2g} over {test.folds}"
        lines.append(f"{named(study, one)} against {named(study, other)}: {p} {of}")
    return lines


def _pairs(spec: FigureSpec, one: Variant, other: Variant, by_variant: ByVariant) -> list[tuple[float, float]]:
    """The means of both over equal seeds: fold by fold, or case by case where every test case has a value."""
    if spec.value.startswith(CASES):
        mine, theirs = (_by_case(spec.value, by_variant[variant.name]) for variant in (one, other))
        return [(mine[case], theirs[case]) for case in mine if case in theirs]
    return _by_fold(spec, one, other, by_variant)


def _by_case(name: str, runs: Sequence[RunScores]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for case, value in run.by_case(name).items():
            found.setdefault(case, []).append(value)
    return {case: float(np.mean(values)) for case, values in found.items()}


def _by_fold(spec: FigureSpec, one: Variant, other: Variant, by_variant: ByVariant) -> list[tuple[float, float]]:
    # More seeds are no further evidence about other patients.
    found: list[dict[tuple[int, int, int], float]] = []
    for variant in (one, other):
        runs = by_variant[variant.name]
        subset = subset_of(variant, runs)
        found.append({(r.job.repeat, r.job.fold, r.job.seed): r.value(spec.value, subset) for r in runs})
    ours, others = found
    folds: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for place in ours:
        if place in others:
            folds.setdefault(place[:2], []).append((ours[place], others[place]))
    return [(float(left), float(right)) for left, right in (np.mean(own, axis=0) for own in folds.values())]
