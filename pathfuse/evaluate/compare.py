"""Compares runs on the same test patients: intervals, tests, effect sizes, all from one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isnan, nan

import numpy as np

from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compared_run import ComparedRun
from pathfuse.evaluate.comparison import CompareOptions, Comparison, Difference, Stratum, Value
from pathfuse.evaluate.delong import delong_areas, delong_test
from pathfuse.evaluate.fold_tests import signed_rank
from pathfuse.evaluate.multiplicity import holm
from pathfuse.evaluate.pairing import difference, refuse_unequal_cases, refuse_unequal_runs
from pathfuse.evaluate.resampling import bootstrap, observed, percentile_interval, permutation_p, statistic
from pathfuse.evaluate.scored import Scored, Values
from pathfuse.evaluate.strata import layers
from pathfuse.evaluate.weighted import Metric, metric_named, metric_names

DEFAULT_METRICS = ("balanced_accuracy", "auroc")
FULLEST = "fullest"
"""Name of the subset in which every run is given all stains it was tested with, where runs differ in that."""


@dataclass(frozen=True)
class _Block:
    """Runs that were tested on the same cases: `subset` for tables, and the cases of each run."""

    subset: str
    scored: Mapping[str, Scored]

    @property
    def any(self) -> Scored:
        return next(iter(self.scored.values()))


def compare_runs(runs: Sequence[ComparedRun], options: CompareOptions | None = None) -> Comparison:
    """Compares runs that were tested on the same patients with the same split.

    Args:
        runs: at least two.
        options: how; None takes the defaults.

    Raises:
        RunError: if the runs cannot be compared, saying what differs first.
        RecipeError: for an unknown metric or baseline.
    """
    options = options or CompareOptions()
    if len(runs) < 2:
        raise RunError("A comparison needs two runs or more. Name another one.")
    refuse_unequal_runs(runs)
    classes, names = runs[0].classes, tuple(run.name for run in runs)
    if options.baseline is not None and options.baseline not in names:
        raise RecipeError(f"--baseline {options.baseline} is none of the runs {', '.join(names)}.")
    wanted = options.metrics or DEFAULT_METRICS
    chosen = metric_names(classes) if "all" in wanted else list(dict.fromkeys(wanted))
    metrics = [metric_named(name, classes) for name in chosen]
    blocks, notes = _blocks(runs)
    values: list[Value] = []
    differences: list[Difference] = []
    for block in blocks:
        _refuse_too_little(block, classes)
        drawn = _drawn(block, metrics, options)
        values += _values(block, metrics, drawn, options, notes)
        differences += _differences(block, metrics, drawn, options)
    strata = [stratum for block in blocks for stratum in _strata(block, notes)]
    return Comparison(
        names,
        classes,
        options,
        tuple(values),
        tuple(_adjusted(differences)),
        tuple(strata),
        (*notes, *_unlabelled(runs)),
    )


def _blocks(runs: Sequence[ComparedRun]) -> tuple[list[_Block], list[str]]:
    blocks, notes = [], []
    subsets = list(dict.fromkeys(name for run in runs for name in run.subsets))
    for subset in subsets:
        having = {run.name: run.scored(subset) for run in runs if subset in run.subsets}
        refuse_unequal_cases(subset, list(having), list(having.values()))
        blocks.append(_Block(subset, having))
        if len(having) < len(runs):
            lack = [run.name for run in runs if run.name not in having]
            notes.append(f"{subset}: no test predictions of {', '.join(lack)}.")
    fullest = {run.name: max(run.subsets, key=lambda name: name.count("+")) for run in runs}
    if len(set(fullest.values())) > 1:
        scored = {run.name: run.scored(fullest[run.name]) for run in runs}
        first = runs[0].name
        problems = [difference(first, scored[first], name, other) for name, other in scored.items()]
        given = ", ".join(f"{name}: {subset}" for name, subset in fullest.items())
        if any(problems):
            notes.append(f"What each run is given at most ({given}) is not compared: {next(filter(None, problems))}")
        else:
            blocks.append(_Block(FULLEST, scored))
            notes.append(f"{FULLEST}: each run is given all it can use ({given}).")
    if any(len(run.folds) > 1 for run in runs):
        notes.append(
            "The cases of all folds are pooled. A ranking metric then sets scores of different fold models against "
            "each other; the signed-rank test takes every fold by itself."
        )
    if not any(len(block.scored) > 1 for block in blocks):
        raise RunError(
            f"The runs have no test cases in common: {' '.join(notes)} Test them on one cohort with the same stains."
        )
    return blocks, notes


def _refuse_too_little(block: _Block, classes: Sequence[str]) -> None:
    patients, labels = set(block.any.patient_ids), np.unique(block.any.target)
    if len(patients) < 2:
        raise RunError(
            f"{block.subset}: the only test patient is {block.any.patient_ids[0]}. Intervals and tests are drawn over "
            "patients; test on more of them."
        )
    if len(labels) < 2:
        raise RunError(
            f"{block.subset}: all {len(block.any.target)} test cases are {classes[labels[0]]}. Test on two classes "
            "or more."
        )


def _drawn(block: _Block, metrics: Sequence[Metric], options: CompareOptions) -> dict[tuple[str, str], Values]:
    scorers = {
        (run, metric.name): statistic(metric, scored.passes)
        for run, scored in block.scored.items()
        for metric in metrics
    }
    return bootstrap(scorers, block.any.owner, draws=options.draws, seed=options.seed)


def _values(
    block: _Block,
    metrics: Sequence[Metric],
    drawn: Mapping[tuple[str, str], Values],
    options: CompareOptions,
    notes: list[str],
) -> Iterator[Value]:
    patients = len(set(block.any.patient_ids))
    for metric in metrics:
        for run, scored in block.scored.items():
            cohorts = drawn[run, metric.name]
            low, high = percentile_interval(cohorts, options.level)
            value = _value(metric, scored)
            yield Value(block.subset, metric.name, run, len(scored.case_ids), patients, value, low, high)
        undefined = float(np.isnan(cohorts).mean())
        if undefined:
            notes.append(
                f"{block.subset}: {metric.name} is not defined in {undefined:.1%} of the drawn cohorts, because a "
                "class is absent there; its intervals leave them out."
            )


def _differences(
    block: _Block, metrics: Sequence[Metric], drawn: Mapping[tuple[str, str], Values], options: CompareOptions
) -> Iterator[Difference]:
    pairs = [
        (baseline, run)
        for baseline, run in combinations(_baseline_first(list(block.scored), options.baseline), 2)
        if options.baseline in (None, baseline)
    ]
    for metric in metrics:
        for baseline, run in pairs:
            cohorts = drawn[run, metric.name] - drawn[baseline, metric.name]
            low, high = percentile_interval(cohorts, options.level)
            yield _difference(block, metric, baseline, run, options, low=low, high=high)


def _difference(
    block: _Block, metric: Metric, baseline: str, run: str, options: CompareOptions, *, low: float, high: float
) -> Difference:
    one, other = block.scored[run], block.scored[baseline]
    mine, theirs = _value(metric, one), _value(metric, other)
    only_one, only_other = _discordant(one, other)
    folds = signed_rank(metric, one.folds, other.folds)
    return Difference(
        block.subset,
        metric.name,
        run,
        baseline,
        mine - theirs,
        low,
        high,
        _error_reduction(metric, mine, theirs),
        only_one,
        only_other,
        only_one / (only_one + only_other) - 0.5 if only_one + only_other else nan,
        permutation_p(metric, one.passes, other.passes, one.owner, draws=options.permutations, seed=options.seed),
        nan,
        _delong_p(metric, one, other),
        nan,
        folds.folds,
        folds.p,
        nan,
        folds.rank_biserial,
    )


def _adjusted(differences: Sequence[Difference]) -> list[Difference]:
    permutation = holm([found.p_permutation for found in differences])
    delong = holm([found.p_delong for found in differences])
    wilcoxon = holm([found.p_wilcoxon for found in differences])
    return [
        replace(found, p_permutation_holm=a, p_delong_holm=b, p_wilcoxon_holm=c)
        for found, a, b, c in zip(differences, permutation, delong, wilcoxon, strict=True)
    ]


def _strata(block: _Block, notes: list[str]) -> Iterator[Stratum]:
    for run, scored in block.scored.items():
        rows = scored.passes[0]
        if len(rows) > 1 and np.ptp(rows.confidence) == 0:
            notes.append(f"{block.subset}: all confidences of {run} are equal; its strata say nothing.")
        for layer in reversed(list(layers(rows))):
            yield Stratum(block.subset, run, *layer)
        if len(scored.passes) > 1:
            notes.append(f"{block.subset}: strata of {run} are those of the first of {len(scored.passes)} passes.")


def _value(metric: Metric, scored: Scored) -> float:
    return observed(statistic(metric, scored.passes), len(scored.case_ids))


def _error_reduction(metric: Metric, mine: float, theirs: float) -> float:
    lacking = 1 - theirs if metric.higher else theirs
    gained = mine - theirs if metric.higher else theirs - mine
    return gained / lacking if lacking > 0 else nan


def _discordant(one: Scored, other: Scored) -> tuple[float, float]:
    """Cases that only the one and only the other predicts right, on average over the passes."""
    only_one, only_other = 0.0, 0.0
    for mine, theirs in zip(one.passes, other.passes, strict=True):
        right, their_right = mine.predicted == mine.target, theirs.predicted == theirs.target
        only_one += float((right & ~their_right).sum()) / len(one.passes)
        only_other += float((~right & their_right).sum()) / len(one.passes)
    return only_one, only_other


def _delong_p(metric: Metric, one: Scored, other: Scored) -> float:
    if metric.name == "auroc" and one.passes[0].prob.shape[1] == 2:
        positive = 1
    elif metric.name.startswith("auroc/") and metric.positive is not None:
        positive = metric.positive
    else:
        return nan
    scores = [[rows.prob[:, positive] for rows in scored.passes] for scored in (one, other)]
    return delong_test(delong_areas(scores, one.target == positive, one.owner)).p


def _baseline_first(names: list[str], baseline: str | None) -> list[str]:
    return sorted(names, key=lambda name: name != baseline) if baseline else names


def _unlabelled(runs: Sequence[ComparedRun]) -> Iterator[str]:
    for run in runs:
        count = sum(fold.predictions.unlabelled for fold in run.folds)
        if count:
            yield f"{run.name}: {count} predictions without a label are left out."


def significant(p: float, level: float) -> bool:
    """Whether an adjusted p-value is below one minus the level."""
    return not isnan(p) and p < 1 - level
