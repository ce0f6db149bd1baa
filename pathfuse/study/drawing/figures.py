"""Bars in a study, and the choice of how a figure is drawn; as SVG with a CSV of what is drawn beside it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from pathfuse.charts.points import Bar, bars
from pathfuse.charts.style import svg
from pathfuse.evaluate.names import in_sentence
from pathfuse.study.curves.write import write_curves
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.grouped import write_grouped
from pathfuse.study.drawing.naming import called, measured
from pathfuse.study.drawing.paired import ByVariant, paired_test, tests_said, values_of
from pathfuse.study.drawing.panels import write_panels
from pathfuse.study.drawing.roc import write_roc
from pathfuse.study.scores import spread_of
from pathfuse.study.tables import csv_text, number_cell
from pathfuse.system.files import write_text


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
    if spec.kind == "grouped":
        return write_grouped(folder, spec, study, having, by_variant)
    if spec.kind == "panels":
        return write_panels(folder, spec, study, having, by_variant)
    if spec.kind == "roc":
        return write_roc(folder, spec, study, having, by_variant)
    return _bars(folder, spec, study, having, by_variant, expected)


def _bars(
    folder: Path, spec: FigureSpec, study: Study, variants: Sequence[Variant], by_variant: ByVariant, expected: int
) -> list[Path]:
    drawn, lines = [], [["variant", "value", "mean", "sd", "runs", "test", "folds", "p_wilcoxon", "rank_biserial"]]
    for variant in variants:
        values = values_of(spec.value, variant, by_variant)
        found = spread_of(values)
        lines.append(
            [variant.name, spec.value, number_cell(found.mean), number_cell(found.sd), str(found.n), "", "", "", ""]
        )
        if found.n:
            drawn.append(Bar(called(study, variant), found.mean, [value for value in values if not isnan(value)]))
    tests = paired_test(spec, variants, by_variant) if spec.by else []
    for name, test in tests:
        numbers = [str(test.folds), number_cell(test.p), number_cell(test.rank_biserial)]
        lines.append(["", spec.value, "", "", "", name, *numbers])
    table = folder / f"{spec.name}.csv"
    write_text(table, csv_text(lines))
    if not drawn:
        return [table]
    said = tests_said(study, spec.value, tests)
    short = [
        f"{v.name}: {len(by_variant[v.name])} of {expected} runs"
        for v in variants
        if len(by_variant[v.name]) < expected
    ]
    text = ". ".join(
        [
            f"Mean of {in_sentence(measured(study, spec.value))} over the runs of every variant, a point per run",
            *said,
            *short,
        ]
    )
    chart = folder / f"{spec.name}.svg"
    write_text(
        chart,
        svg(bars(drawn, y=measured(study, spec.value)), spec.title, f"{text}. {spec.note}".strip()),
    )
    return [chart, table]
