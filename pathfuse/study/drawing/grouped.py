"""Bars in groups: an axis of the grid gives the groups, the others and several values the bars in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

from pathfuse.charts.grouped import GroupedBar, grouped_bars
from pathfuse.charts.style import svg
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.naming import called, measured, named
from pathfuse.study.drawing.paired import ByVariant, paired_test, tests_said, values_of
from pathfuse.study.scores import spread_of
from pathfuse.study.tables import csv_text, number_cell
from pathfuse.system.files import write_text


def write_grouped(
    folder: Path, spec: FigureSpec, study: Study, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    """One chart; a published number stands as a mark on the bar of the first value."""
    groups: dict[str, dict[str, GroupedBar]] = {}
    lines = [["variant", "group", "bar", "value", "mean", "sd", "runs", "published", "test", "pairs", "p_wilcoxon"]]
    for variant in variants:
        group, own = named(study, variant.axes.get(spec.group, "")), called(study, variant, without=(spec.group,))
        for number, (word, value) in enumerate(spec.values.items()):
            values = [one for one in values_of(value, variant, by_variant) if not isnan(one)]
            found = spread_of(values)
            bar = own if len(spec.values) == 1 else f"{own}, {word}"
            published = spec.published.get(variant.name) if number == 0 else None
            paper = "" if published is None else str(published)
            numbers = [number_cell(found.mean), number_cell(found.sd), str(found.n), paper]
            lines.append([variant.name, group, bar, value, *numbers, "", "", ""])
            if found.n:
                groups.setdefault(group, {})[bar] = GroupedBar(found.mean, values, published)
    first = next(iter(spec.values.values()))
    tests = paired_test(replace(spec, value=first), variants, by_variant) if spec.by else []
    for apart, test in tests:
        lines.append(["", "", "", first, "", "", "", "", apart, str(test.folds), number_cell(test.p)])
    table = folder / f"{spec.name}.csv"
    write_text(table, csv_text(lines))
    if not groups:
        return [table]
    said = tests_said(study, first, tests)
    drawn = grouped_bars(groups, y=spec.y or measured(study, first), said=said)
    text = ". ".join(["Bars: means over runs. Points: single runs", *said])
    write_text(folder / f"{spec.name}.svg", svg(drawn, spec.title, f"{text}. {spec.note}".strip()))
    return [folder / f"{spec.name}.svg", table]
