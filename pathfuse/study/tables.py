"""The tables of a study as CSV and Markdown: every run, mean ± sd per variant, and a paper's numbers beside ours."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path

from pathfuse.study.definition.report import TableSpec
from pathfuse.study.definition.study import Study
from pathfuse.study.drawing.naming import called, measured
from pathfuse.study.scores import STEPS, STEPS_BEFORE, RunScores, Spread, spread_of, subset_of
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import write_text

ByVariant = Mapping[str, Sequence[RunScores]]
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "mcc")
EXPLAINED = (
    "Mean ± sample standard deviation over the runs of a variant: folds times seeds. Folds share training patients, so "
    "the deviation is no confidence interval; comparison.csv has intervals over patients."
)
PUBLISHED = "*published*: the number of the paper, on its own data and split. It is no result of this study."


def write_folds(folder: Path, study: Study, by_variant: ByVariant, expected: int) -> list[Path]:
    """`folds.csv`, every metric of every run, and `folds.md`, the spread over runs."""
    lines = [["variant", "seed", "cohort", "repeat", "fold", "subset", "metric", "value"]]
    for name, runs in by_variant.items():
        for run in runs:
            where = [name, str(run.job.seed), run.job.cohort, str(run.job.repeat), str(run.job.fold)]
            for subset, own in run.metrics.items():
                lines += [[*where, subset, metric, number_cell(value)] for metric, value in own.items()]
    write_text(folder / "folds.csv", csv_text(lines))
    write_text(folder / "folds.md", _folds_text(study, by_variant, expected))
    return [folder / "folds.csv", folder / "folds.md"]


def write_table(folder: Path, spec: TableSpec, study: Study, by_variant: ByVariant, expected: int) -> list[Path]:
    """A table of the study's own, as `<name>.csv` and `<name>.md`.

    Args:
        folder: where they go.
        spec: what is in it.
        study: the study.
        by_variant: the finished runs.
        expected: runs that a whole variant has.
    """
    columns = spec.columns or areas(by_variant)
    lines = [["variant", "given", "metric", "mean", "sd", "runs", "published"]]
    rows = []
    for variant in study.variants:
        if spec.variants and variant.name not in spec.variants:
            continue
        runs = by_variant.get(variant.name, ())
        subset, published = subset_of(variant, runs), spec.published.get(variant.name, {})
        cells = []
        for column in columns:
            found = spread_of([run.value(column, subset) for run in runs])
            paper = published.get(column)
            said = "" if paper is None else str(paper)
            lines.append(
                [variant.name, subset, column, number_cell(found.mean), number_cell(found.sd), str(found.n), said]
            )
            text = _count(found) if column in (STEPS, STEPS_BEFORE) else found.text(expected)
            cells.append(text + (f" [*published* {said}]" if said else ""))
        rows.append([called(study, variant), subset or "-", *cells])
    heads = ["Variant", "Given", *(measured(study, column) for column in columns)]
    notes = [EXPLAINED, *([PUBLISHED] if spec.published else []), *([spec.note] if spec.note else [])]
    text = page(spec.title, [("", heads, rows)], [*notes, *lacking(study, by_variant, expected)])
    write_text(folder / f"{spec.name}.csv", csv_text(lines))
    write_text(folder / f"{spec.name}.md", text)
    return [folder / f"{spec.name}.csv", folder / f"{spec.name}.md"]


def areas(by_variant: ByVariant) -> tuple[str, ...]:
    """The areas under the curve: of every class, their mean and their weighted mean."""
    names = dict.fromkeys(
        metric
        for runs in by_variant.values()
        for run in runs
        for own in run.metrics.values()
        for metric in own
        if metric.startswith("auroc/")
    )
    return (*names, "auroc", "auroc_weighted")


def lacking(study: Study, by_variant: ByVariant, expected: int) -> list[str]:
    """A line per variant that is not whole."""
    counts = {variant.name: len(by_variant.get(variant.name, ())) for variant in study.variants}
    return [f"{name}: {count} of {expected} runs are finished." for name, count in counts.items() if count < expected]


def _folds_text(study: Study, by_variant: ByVariant, expected: int) -> str:
    columns = (*areas(by_variant), *SHOWN)
    tables = []
    for subset in dict.fromkeys(name for runs in by_variant.values() for run in runs for name in run.metrics):
        rows = []
        for name, runs in by_variant.items():
            having = [run for run in runs if subset in run.metrics]
            if having:
                cells = [spread_of([run.value(c, subset) for run in having]).text(expected) for c in columns]
                rows.append([name, *cells])
        tables.append(
            (
                f"Given {subset}: mean ± sd over runs",
                ["Variant", *(measured(study, column) for column in columns)],
                rows,
            )
        )
    for variant in study.variants:
        runs = by_variant.get(variant.name, ())
        subset = subset_of(variant, runs)
        rows = [
            [f"seed {run.job.seed}, {run.job.cohort or f'repeat {run.job.repeat}, fold {run.job.fold}'}",
             *(_short(run.value(column, subset)) for column in columns)]
            for run in runs
        ]  # fmt: skip
        if rows:
            tables.append(
                (
                    f"{variant.name}, given {subset}: every run",
                    ["Run", *(measured(study, column) for column in columns)],
                    rows,
                )
            )
    return page(f"Folds of {study.name}", tables, [EXPLAINED, *lacking(study, by_variant, expected)])


def page(title: str, tables: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]]]], notes: Sequence[str]) -> str:
    """A Markdown page.

    Args:
        title: its heading.
        tables: of each, its own heading or nothing, the heads of its columns, and its rows.
        notes: lines under them.
    """
    lines = [f"# {title}", ""]
    for heading, heads, rows in tables:
        lines += [f"## {heading}", ""] if heading else []
        lines += [_row(heads), _row(["---"] * len(heads)), *map(_row, rows), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes), ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _count(found: Spread) -> str:
    """A number of steps, which is the same in every run or is said to differ."""
    if not found.n:
        return "-"
    return f"{found.mean:.0f}" + (f" ± {found.sd:.0f}" if found.sd > 0 else "")


def _short(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"


def csv_text(lines: Sequence[Sequence[str]]) -> str:
    """The lines as CSV."""
    text = io.StringIO()
    CsvWriter(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def number_cell(value: float) -> str:
    """A number with six digits; empty where it is not defined."""
    return "" if isnan(value) else f"{value:.6f}"
