"""Comparison of trained runs in one call, with its page and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pathfuse.evaluate.compare.compare import compare_runs, compare_subsets
from pathfuse.evaluate.compare.files import write_comparison
from pathfuse.evaluate.compare.findings import CompareOptions, Comparison
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.report.write import PAGE, write_comparison_report


def compare(
    *runs: str | Path,
    baseline: str | Path | None = None,
    metrics: Sequence[str] = (),
    given: str | None = None,
    draws: int = 10_000,
    permutations: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    all_subsets: bool = False,
    out: str | Path | None = None,
) -> Comparison:
    """Compares runs over the patients that all were tested on, as `pathfuse compare` does.

    Args:
        *runs: run folders, folders of the runs of all folds, of a study, or STAMP's. One run alone is compared with
            itself, given one stain and several.
        baseline: the run, or of one run the stains, that all others are compared with; None compares every pair.
        metrics: names as in `metrics.json`, or `all`; empty takes balanced accuracy and AUC.
        given: what STAMP's features were made of, such as `he`; its files do not say.
        draws: cohorts of patients for the intervals.
        permutations: exchanges of the permutation test.
        level: of the intervals.
        seed: same seed, same numbers.
        all_subsets: compare also from stains that a run was never trained to be given.
        out: folder that gets `report.html` and `comparison.csv`, `.md` and `.json`; None writes nothing.

    Raises:
        RunError: if a folder holds no run, or the runs share no test patients.
        RecipeError: for an unknown metric or baseline, or a number that is out of range.
    """
    named = None if baseline is None else str(baseline)
    options = CompareOptions(tuple(metrics), named, draws, permutations, level, seed, all_subsets)
    paths = [Path(run) for run in runs]
    found = read_runs(paths, given=given)
    if len(found) == 1:
        comparison = compare_subsets(found[0], options)
    else:
        by_path = {str(path): run.name for path in paths for run in found if run.path == path}
        named = named and by_path.get(named, named)
        comparison = compare_runs(found, replace(options, baseline=named))
    if out is not None:
        write(comparison, Path(out))
    return comparison


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes the page of a comparison and its tables, and returns their paths."""
    return [*write_comparison_report(comparison, folder / PAGE), *write_comparison(folder, comparison)]
