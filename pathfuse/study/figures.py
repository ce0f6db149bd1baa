"""The charts of a study: ROC curves and bars over variants, as SVG with a CSV of what is drawn beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isnan
from pathlib import Path

import numpy as np
from sklearn.metrics import auc, roc_curve  # type: ignore[import-untyped]

from pathfuse.charts.lines import Line, roc
from pathfuse.charts.points import Bar, bars
from pathfuse.charts.style import svg
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.evaluate.metrics.strata import BORDERS, STRATA
from pathfuse.evaluate.metrics.tests_over_folds import SignedRank, signed_rank_of
from pathfuse.runs.rows import Rows
from pathfuse.study.curves.write import write_curves
from pathfuse.study.file import Study, Variant
from pathfuse.study.report_file import FigureSpec
from pathfuse.study.scores import RunScores, spread_of, subset_of
from pathfuse.study.tables import csv_text, number_cell
from pathfuse.system.files import write_text

ByVariant = Mapping[str, Sequence[RunScores]]
RANGES = {"low": "below 0.75", "medium": "0.75 to 0.9", "high": "0.9 and above"}


def write_figure(folder: Path, spec: FigureSpec, study: Study, by_variant: ByVariant, expected: int) -> list[Path]:
    """Draws one figure from the finished runs.

    Args:
        folder: where it goes.
        spec: what is drawn.
        study: the study.
        by_variant: the finished runs.
        expected: runs that a whole variant has.
    """
    if spec.kind == "curves":
        return write_curves(folder, spec, study, by_variant)
    wanted = [v for v in study.variants if not spec.variants or v.name in spec.variants]
    having = [variant for variant in wanted if by_variant.get(variant.name)]
    if spec.kind == "bars":
        return _bars(folder, spec, having, by_variant, expected)
    return [path for variant in having for path in _roc(folder, spec, variant, by_variant[variant.name])]


def curves(rows: Rows, classes: Sequence[str]) -> dict[str, Line]:
    """The ROC curve of every class against the rest; a class that is absent, or alone, has none."""
    found = {}
    for index, name in enumerate(classes):
        positive = rows.target == index
        if 0 < positive.sum() < len(rows):
            found[name] = _curve(positive, rows.prob[:, index])
    return found


def strata_curves(rows: Rows) -> dict[str, Line]:
    """The ROC curve within every range of confidence; a case counts once per class (micro-average)."""
    layer = np.searchsorted(BORDERS, rows.confidence, side="right")
    found = {}
    for index, name in reversed(list(enumerate(STRATA))):
        here = rows.take(np.flatnonzero(layer == index))
        if len(here):
            truth = here.target[:, None] == np.arange(here.prob.shape[1])
            found[f"{RANGES[name]}, n = {len(here)}"] = _curve(truth.ravel(), here.prob.ravel())
    return found


def paired_test(spec: FigureSpec, variants: Sequence[Variant], by_variant: ByVariant) -> list[tuple[str, SignedRank]]:
    """The signed-rank test between the two values of an axis, over folds of all variants that differ in it alone."""
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


def _bars(
    folder: Path, spec: FigureSpec, variants: Sequence[Variant], by_variant: ByVariant, expected: int
) -> list[Path]:
    drawn, lines = [], [["variant", "value", "mean", "sd", "runs", "test", "folds", "p_wilcoxon", "rank_biserial"]]
    for variant in variants:
        values = _values(spec.value, variant, by_variant)
        found = spread_of(values)
        lines.append(
            [variant.name, spec.value, number_cell(found.mean), number_cell(found.sd), str(found.n), "", "", "", ""]
        )
        if found.n:
            drawn.append(Bar(variant.name, found.mean, [value for value in values if not isnan(value)]))
    tests = paired_test(spec, variants, by_variant) if spec.by else []
    for name, test in tests:
        numbers = [str(test.folds), number_cell(test.p), number_cell(test.rank_biserial)]
        lines.append(["", spec.value, "", "", "", name, *numbers])
    table = folder / f"{spec.name}.csv"
    write_text(table, csv_text(lines))
    if not drawn:
        return [table]
    said = [
        f"{name}: Wilcoxon p {'-' if isnan(t.p) else f'{t.p:.4f}'} over {t.folds} pairs of folds" for name, t in tests
    ]
    short = [
        f"{v.name}: {len(by_variant[v.name])} of {expected} runs"
        for v in variants
        if len(by_variant[v.name]) < expected
    ]
    text = ". ".join([f"Mean of {spec.value} over the runs of every variant, a point per run", *said, *short])
    chart = folder / f"{spec.name}.svg"
    write_text(chart, svg(bars(drawn, y=spec.value.rpartition(":")[2]), spec.title, f"{text}. {spec.note}".strip()))
    return [chart, table]


def _roc(folder: Path, spec: FigureSpec, variant: Variant, runs: Sequence[RunScores]) -> list[Path]:
    read = read_runs([run.job.folder for run in runs])
    subset = subset_of(variant, runs)
    parts = [scored.passes[0] for run in read if subset in run.subsets and (scored := run.scored(subset))]
    if not parts:
        return []
    rows = parts[0]
    for part in parts[1:]:
        rows = Rows.cat(rows, part)
    lines = strata_curves(rows) if spec.strata else curves(rows, read[0].classes)
    if not lines:
        return []
    by = "range of confidence, classes pooled" if spec.strata else "class"
    text = f"ROC per {by}, given {subset}; test cases of all {len(runs)} runs pooled. {spec.note}".strip()
    name = f"{spec.name}_{variant.name}"
    write_text(folder / f"{name}.svg", svg(roc(lines), f"{spec.title}: {variant.name}", text))
    points = [["line", "false_positive_rate", "true_positive_rate", "auc"]]
    for key, line in lines.items():
        points += [[key, f"{x:.6f}", f"{y:.6f}", line.note] for x, y in zip(line.x, line.y, strict=True)]
    write_text(folder / f"{name}.csv", csv_text(points))
    return [folder / f"{name}.svg", folder / f"{name}.csv"]


def _values(name: str, variant: Variant, by_variant: ByVariant) -> list[float]:
    runs = by_variant[variant.name]
    subset = subset_of(variant, runs)
    return [run.value(name, subset) for run in runs]


def _pairs(spec: FigureSpec, one: Variant, other: Variant, by_variant: ByVariant) -> list[tuple[float, float]]:
    """The means of both over equal seeds, fold by fold: more seeds are no further evidence about other patients."""
    found: list[dict[tuple[int, int, int], float]] = []
    for variant in (one, other):
        runs = by_variant[variant.name]
        subset = subset_of(variant, runs)
        found.append({(r.job.repeat, r.job.fold, r.job.seed): r.value(spec.value, subset) for r in runs})
    mine, theirs = found
    folds: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for place in mine:
        if place in theirs:
            folds.setdefault(place[:2], []).append((mine[place], theirs[place]))
    return [(float(left), float(right)) for left, right in (np.mean(own, axis=0) for own in folds.values())]


def _curve(positive: np.ndarray, score: np.ndarray) -> Line:
    false, true, _ = roc_curve(positive, score)
    return Line(false.tolist(), true.tolist(), f"{auc(false, true):.3f}")
