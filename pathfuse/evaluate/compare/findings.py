"""The findings of a comparison, as plain records that tables, files and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class CompareOptions:
    """How runs are compared.

    Attributes:
        metrics: names as in `metrics.json`; empty takes balanced accuracy and AUC.
        baseline: the run that all others are compared with; None compares every pair.
        draws: cohorts of the bootstrap.
        permutations: exchanges of the permutation test.
        level: of the intervals.
        seed: same seed, same numbers.
        all_subsets: compare also from stains that a run was never trained to be given.
    """

    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    draws: int = 10_000
    permutations: int = 10_000
    level: float = 0.95
    seed: int = 0
    all_subsets: bool = False

    def __post_init__(self) -> None:
        if self.draws < 1 or self.permutations < 1 or not 0 < self.level < 1:
            raise RecipeError(
                f"draws={self.draws}, permutations={self.permutations}, level={self.level}: give at least one of "
                "each, and a level between 0 and 1."
            )


@dataclass(frozen=True)
class Value:
    """A metric of one run with its interval over patients."""

    subset: str
    metric: str
    run: str
    n_cases: int
    n_patients: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A run beside its baseline; NaN where a test does not apply.

    Attributes:
        subset: what both were given.
        metric: what differs.
        run: the one run.
        baseline: the other.
        difference: run minus baseline, with the interval `low` to `high`.
        low: lower limit.
        high: upper limit.
        error_reduction: share of what the baseline lacks to a perfect value that the run gains.
        only_run_right: cases that only the run predicts right.
        only_baseline_right: cases that only the baseline predicts right.
        cohens_g: how unequal these two numbers are, from -0.5 to 0.5.
        p_permutation: of the permutation test.
        p_permutation_holm: the same, adjusted for all permutation tests of the comparison.
        p_delong: of DeLong's test, for the area of one class.
        p_delong_holm: the same, adjusted for all of DeLong's tests.
        n_folds: folds in which the metric is defined for both.
        p_wilcoxon: of the signed-rank test over folds, from five folds on.
        p_wilcoxon_holm: the same, adjusted for all signed-rank tests.
        rank_biserial: effect size of the signed-rank test, from -1 to 1.
    """

    subset: str
    metric: str
    run: str
    baseline: str
    difference: float
    low: float
    high: float
    error_reduction: float
    only_run_right: float
    only_baseline_right: float
    cohens_g: float
    p_permutation: float
    p_permutation_holm: float
    p_delong: float
    p_delong_holm: float
    n_folds: int
    p_wilcoxon: float
    p_wilcoxon_holm: float
    rank_biserial: float


@dataclass(frozen=True)
class Stratum:
    """The cases of a run within one range of confidence; `auroc` is the mean over the classes that occur there."""

    subset: str
    run: str
    stratum: str
    n: int
    accuracy: float
    auroc: float


@dataclass(frozen=True)
class Comparison:
    """Everything that was found.

    Attributes:
        runs: names, in the given order.
        classes: class names.
        options: how it was done.
        values: per subset, metric and run.
        differences: per subset, metric and pair.
        strata: per subset, run and range of confidence.
        notes: what to know when reading the numbers.
        answer: what was found, in one sentence.
        within: the run, where the combinations of stains of one run are compared, which `runs` then names.
        counts: per subset, its test cases per class.
    """

    runs: tuple[str, ...]
    classes: tuple[str, ...]
    options: CompareOptions
    values: tuple[Value, ...]
    differences: tuple[Difference, ...]
    strata: tuple[Stratum, ...]
    notes: tuple[str, ...]
    answer: str = ""
    within: str = ""
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What is compared."""
        if self.within:
            return f"{self.within}, by what it is given"
        *first, last = self.runs
        return f"{', '.join(first)} and {last} compared"

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, in the order of the options."""
        return list(dict.fromkeys(value.metric for value in self.values))
