"""Scores of the runs of a study, read from their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import numpy as np

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.runs.files import BY_CASE, EXPLANATION, METRICS
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.study import Variant
from pathfuse.study.jobs import Job

CURVE, EXPLAINED, CASES = "curve:", "explain:", "cases:"
STEPS, STEPS_BEFORE = "steps", "steps_before"


@dataclass(frozen=True)
class RunScores:
    """One finished run.

    Attributes:
        job: the run.
        folder: its folder.
        metrics: `metrics.json` by subset of stains, names without `test/`.
    """

    job: Job
    folder: RunFolder
    metrics: Mapping[str, Mapping[str, float]]

    def value(self, name: str, subset: str) -> float:
        """A figure of the run; NaN where it is not defined or was not made.

        Args:
            name: a metric, `curve:STAGE:COLUMN` for the epoch that was kept, `cases:STAGE:COLUMN` for the mean over
                test cases, `explain:KEY.KEY` of what its study explained, `steps` for the optimiser steps of the last
                stage, or `steps_before` for those of the stages before it.
            subset: the stains that were given, for a metric.
        """
        if name.startswith(CURVE):
            return _of_curve(self.folder, name.removeprefix(CURVE))
        if name in (STEPS, STEPS_BEFORE):
            *before, last = self._steps()
            return last if name == STEPS else sum(before)
        if name.startswith(EXPLAINED):
            return _of_maps(self.folder, name.removeprefix(EXPLAINED))
        if name.startswith(CASES):
            known = list(self.by_case(name).values())
            return float(np.mean(known)) if known else nan
        return self.metrics.get(subset, {}).get(name, nan)

    def by_case(self, name: str) -> dict[str, float]:
        """`cases:STAGE:COLUMN` of every test case that has it."""
        stage, _, column = name.removeprefix(CASES).partition(":")
        rows = self.folder.lines(f"{BY_CASE}/{stage}.csv")
        return {row["case_id"]: float(row[column]) for row in rows if row.get(column)}

    def _steps(self) -> list[float]:
        """Optimiser steps of every stage, in order of training."""
        stages = self.folder.config.get("stages") or {}
        rows = [self.folder.curve(str(stage)) for stage in stages]
        return [float(own[-1].get("steps") or nan) if own else nan for own in rows] or [nan]


class Spread(NamedTuple):
    """Mean and sample standard deviation over the runs in which a figure is defined."""

    mean: float
    sd: float
    n: int

    def text(self, runs: int) -> str:
        """As a cell of a table; says if some runs have no value."""
        if not self.n:
            return "-"
        sd = "" if self.n < 2 else f" ± {self.sd:.3f}"
        return f"{self.mean:.3f}{sd}" + ("" if self.n == runs else f" ({self.n} of {runs} runs)")


def spread_of(values: Sequence[float]) -> Spread:
    """Mean and spread; undefined values are left out and counted."""
    known = np.array([value for value in values if not np.isnan(value)])
    if not len(known):
        return Spread(nan, nan, 0)
    return Spread(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else nan, len(known))


def read_scores(jobs: Sequence[Job]) -> list[RunScores]:
    """The scores of finished runs, in the order of variants, seeds, repeats and folds.

    Raises:
        RunError: if a `metrics.json` cannot be read.
    """
    return [RunScores(job, folder, _metrics(folder)) for job in jobs for folder in [RunFolder(job.folder)]]


def subset_of(variant: Variant, scores: Sequence[RunScores]) -> str:
    """The subset that stands for a variant: the one that the study names, or the one that it was trained for."""
    names = list(dict.fromkeys(name for run in scores for name in run.metrics))
    if variant.subset or not names:
        return variant.subset
    return scores[0].folder.shown.fullest(names)


def _metrics(run: RunFolder) -> dict[str, dict[str, float]]:
    try:
        if not run.has(METRICS):
            raise ValueError("it is not there")
        return {
            subset: {key.removeprefix("test/"): nan if value is None else float(value) for key, value in own.items()}
            for subset, own in run.metrics.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        advice = "Test the run again with `pathfuse test`."
        raise cannot_be_read(RunError, run.path / METRICS, error, advice) from error


def _of_curve(run: RunFolder, name: str) -> float:
    stage, _, column = name.partition(":")
    rows = [row for row in run.curve(stage) if row.get(column)]
    if not rows:
        return nan
    kept = run.kept_epoch(stage)
    return float(next((row for row in rows if row["epoch"] == str(kept)), rows[-1])[column])


def _of_maps(run: RunFolder, name: str) -> float:
    value: Any = run.sealed_json(EXPLANATION)
    keys = name.split(".")
    if isinstance(own := value.get("explainers"), dict) and keys[0] not in value:
        # Figures of one explainer: of the one that is named, else of the first.
        value = own if keys[0] in own else next(iter(own.values()), None)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else nan
