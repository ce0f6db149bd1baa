"""The end of a study: the comparison, the tables and the charts, from the files of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pathfuse.errors import PathfuseError
from pathfuse.evaluate.compare.compare import compare_runs, compare_subsets
from pathfuse.evaluate.compare.files import as_table, write_comparison
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import ComparedRun, read_runs
from pathfuse.evaluate.names import metric_name
from pathfuse.report.write import write_study_report
from pathfuse.study.definition.study import Study
from pathfuse.study.jobs import Job
from pathfuse.study.ledger import is_finished
from pathfuse.study.scores import RunScores, read_scores, spread_of, subset_of
from pathfuse.study.tables import lacking, write_folds, write_table

TABLES, FIGURES = "tables", "figures"
COMPARISON = ("comparison.csv", "comparison.md", "comparison.json")
IN_TERMINAL = ("balanced_accuracy", "auroc", "auroc_weighted", "macro_f1")


def write_report(study: Study, out: Path, jobs: Sequence[Job], console: Console) -> list[Path]:
    """Writes and prints everything that the finished runs give; what is missing is said.

    Args:
        study: the study.
        out: its folder.
        jobs: all its runs.
        console: where the tables go.
    """
    finished = [job for job in jobs if is_finished(job)]
    if not finished:
        console.print("no run is finished: there is nothing to report", highlight=False)
        return []
    scores = read_scores(sorted(finished, key=lambda job: (job.seed, job.repeat, job.fold)))
    by_variant = {
        variant.name: own for variant in study.variants if (own := [s for s in scores if s.job.variant == variant.name])
    }
    expected = len(jobs) // len(study.variants)
    files = write_folds(out, study, by_variant, expected)
    for table in study.report.tables:
        files += write_table(out / TABLES, table, study, by_variant, expected)
    if study.report.figures:
        from pathfuse.study.drawing.figures import write_figure

        for figure in study.report.figures:
            files += write_figure(out / FIGURES, figure, study, by_variant, expected)
    console.print(_spreads(study, by_variant, expected))
    files += _compare(study, out, by_variant, expected, console)
    files += write_study_report(out)
    for note in lacking(study, by_variant, expected):
        console.print(note, highlight=False, soft_wrap=True)
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    return files


def _compare(
    study: Study, out: Path, by_variant: Mapping[str, Sequence[RunScores]], expected: int, console: Console
) -> list[Path]:
    """The comparison of the variants that are whole: in the others some cases would be tested less often.

    The stains of a single variant are compared, where it is given several.
    """
    whole = [name for name, runs in by_variant.items() if len(runs) == expected]
    if len(study.cohorts) > 1:
        return _none(
            out, f"{len(study.cohorts)} cohorts have patients of their own; figures of kind curves pair them", console
        )
    if len(whole) < min(len(study.variants), 2):
        return _none(out, "fewer than two variants are finished", console) if len(study.variants) > 1 else []
    report = study.report
    options = CompareOptions(
        metrics=report.metrics,
        baseline=report.baseline if report.baseline in whole else None,
        draws=report.draws,
        permutations=report.permutations,
    )
    runs = [_of_study(out / name, by_variant[name]) for name in whole]
    if len(study.variants) < 2 and len(runs[0].shown.trained(runs[0].subsets)) < 2:
        return []
    try:
        # One variant alone is asked what each of its stains adds.
        comparison = compare_runs(runs, options) if len(study.variants) > 1 else compare_subsets(runs[0], options)
    except PathfuseError as error:
        return _none(out, str(error), console)
    console.print(as_table(comparison))
    return write_comparison(out, comparison)


def _of_study(folder: Path, scores: Sequence[RunScores]) -> ComparedRun:
    """The runs of a variant that belong to the study; earlier ones with other seeds may lie beside them."""
    own = {run.job.folder.relative_to(folder).as_posix() for run in scores}
    (found,) = read_runs([folder])
    return replace(found, folds=tuple(fold for fold in found.folds if fold.name in own))


def _none(out: Path, reason: str, console: Console) -> list[Path]:
    """Says why there is no comparison; one of an earlier state of the study would pass for one of this."""
    for name in COMPARISON:
        (out / name).unlink(missing_ok=True)
    console.print(f"no comparison: {reason}", highlight=False, soft_wrap=True)
    return []


def _spreads(study: Study, by_variant: Mapping[str, Sequence[RunScores]], expected: int) -> Table:
    table = Table(
        "variant", "given", *map(metric_name, IN_TERMINAL), box=None, title="mean ± sd over runs", title_justify="left"
    )
    for variant in study.variants:
        runs = by_variant.get(variant.name, ())
        subset = subset_of(variant, runs)
        cells = [spread_of([run.value(name, subset) for run in runs]).text(expected) for name in IN_TERMINAL]
        table.add_row(variant.name, subset or "-", *cells)
    return table
