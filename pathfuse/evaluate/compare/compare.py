"""Comparison of runs on the same test patients: intervals, tests, effect sizes, all from one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import nan

import numpy as np

from pathfuse.errors import RecipeError, RunError
from pathfuse.evaluate.compare.answer import answer_of, answer_within
from pathfuse.evaluate.compare.blocks import Block, blocks_of, refuse_too_little
from pathfuse.evaluate.compare.findings import CompareOptions, Comparison, Difference, Stratum, Value
from pathfuse.evaluate.compare.pairing import refuse_unequal_tasks, unequal_splits
from pathfuse.evaluate.compare.patient_level import at_patient_level
from pathfuse.evaluate.compare.run import ComparedRun, subsets_as_runs
from pathfuse.evaluate.compare.scored import Scored, paired_folds
from pathfuse.evaluate.metrics.delong import delong_areas, delong_test
from pathfuse.evaluate.metrics.multiplicity import holm
from pathfuse.evaluate.metrics.resampled import Resampled
from pathfuse.evaluate.metrics.resampling import bootstrap, observed, percentile_interval, permutation_p, statistic
from pathfuse.evaluate.metrics.standard import metric_named, metric_names
from pathfuse.evaluate.metrics.strata import layers
from pathfuse.evaluate.metrics.tests_over_folds import signed_rank
from pathfuse.runs.rows import Values

DEFAULT_METRICS = ("balanced_accuracy", "auroc")


def compare_runs(runs: Sequence[ComparedRun], options: CompareOptions | None = None) -> Comparison:
    """Compares runs on the patients that all were tested on.

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
    runs, foreign = at_patient_level(runs)
    refuse_unequal_tasks(runs)
    classes, names = runs[0].classes, tuple(run.name for run in runs)
    if options.baseline is not None and options.baseline not in names:
        raise RecipeError(f"--baseline {options.baseline} is none of the runs {', '.join(names)}.")
    wanted = options.metrics or DEFAULT_METRICS
    chosen = metric_names(classes) if "all" in wanted else list(dict.fromkeys(wanted))
    metrics = [metric_named(name, classes) for name in chosen]
    blocks, notes = blocks_of(runs, all_subsets=options.all_subsets)
    # Ours first: a result of STAMP has no split to check the others by.
    notes += [*unequal_splits(sorted(runs, key=lambda run: run.of_stamp)), *foreign]
    values: list[Value] = []
    differences: list[Difference] = []
    for block in blocks:
        refuse_too_little(block, classes)
        drawn = _drawn(block, metrics, options)
        values += _values(block, metrics, drawn, options, notes)
        differences += _differences(block, metrics, drawn, options)
    strata = [stratum for block in blocks for stratum in _strata(block, notes)]
    adjusted = _adjusted(differences)
    return Comparison(
        names,
        classes,
        options,
        tuple(values),
        tuple(adjusted),
        tuple(strata),
        (*notes, *_unlabelled(runs)),
        answer_of(blocks, adjusted, metrics[0]),
        counts={block.subset: _counts(block, classes) for block in blocks},
    )


def compare_subsets(run: ComparedRun, options: CompareOptions | None = None) -> Comparison:
    """Compares what one run says from different stains, on the patients that have them all.

    Args:
        run: one that was trained to be given several combinations of stains.
        options: how; None takes the defaults.

    Raises:
        RunError: if there is but one combination, or no two patients have all.
        RecipeError: for an unknown metric or baseline.
    """
    options = options or CompareOptions()
    found = compare_runs(subsets_as_runs(run, all_subsets=options.all_subsets), options)
    return replace(found, within=run.name, answer=answer_within(found))


def _counts(block: Block, classes: Sequence[str]) -> tuple[int, ...]:
    return tuple(np.bincount(block.any.target, minlength=len(classes)).tolist())


def _drawn(block: Block, metrics: Sequence[Resampled], options: CompareOptions) -> dict[tuple[str, str], Values]:
    scorers = {
        (run, metric.name): statistic(metric, scored.passes)
        for run, scored in block.scored.items()
        for metric in metrics
    }
    return bootstrap(scorers, block.any.owner, draws=options.draws, seed=options.seed)


def _values(
    block: Block,
    metrics: Sequence[Resampled],
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
        if undefined == 1:
            notes.append(f"{block.subset}: {metric.name} is not defined, because a class has no test case.")
        elif undefined:
            notes.append(
                f"{block.subset}: {metric.name} is not defined in {undefined:.1%} of the drawn cohorts, because a "
                "class is absent there; its intervals leave them out."
            )


def _differences(
    block: Block, metrics: Sequence[Resampled], drawn: Mapping[tuple[str, str], Values], options: CompareOptions
) -> Iterator[Difference]:
    pairs = [
        (baseline, run)
        for baseline, run in combinations(_baseline_first(list(block.scored), options.baseline), 2)
        if options.baseline in (None, baseline) and not block.stands_elsewhere(baseline, run)
    ]
    for metric in metrics:
        for baseline, run in pairs:
            cohorts = drawn[run, metric.name] - drawn[baseline, metric.name]
            low, high = percentile_interval(cohorts, options.level)
            yield _difference(block, metric, baseline, run, options, low=low, high=high)


def _difference(
    block: Block, metric: Resampled, baseline: str, run: str, options: CompareOptions, *, low: float, high: float
) -> Difference:
    one, other = block.scored[run], block.scored[baseline]
    mine, theirs = _value(metric, one), _value(metric, other)
    only_one, only_other = _discordant(one, other)
    folds = signed_rank(metric, *paired_folds(one, other))
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


def _strata(block: Block, notes: list[str]) -> Iterator[Stratum]:
    for run, scored in block.scored.items():
        rows = scored.passes[0]
        if len(rows) > 1 and np.ptp(rows.confidence) == 0:
            notes.append(f"{block.subset}: all confidences of {run} are equal; its strata say nothing.")
        for layer in reversed(list(layers(rows))):
            yield Stratum(block.subset, run, *layer)
        if len(scored.passes) > 1:
            notes.append(f"{block.subset}: strata of {run} are those of the first of {len(scored.passes)} passes.")


def _value(metric: Resampled, scored: Scored) -> float:
    return observed(statistic(metric, scored.passes), len(scored.case_ids))


def _error_reduction(metric: Resampled, mine: float, theirs: float) -> float:
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


def _delong_p(metric: Resampled, one: Scored, other: Scored) -> float:
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
