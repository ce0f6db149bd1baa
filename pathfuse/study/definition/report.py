"""The part of a study's YAML file that says what is written at its end."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pathfuse.errors import RecipeError
from pathfuse.study.definition.strict import file_name, mapping, refuse_unknown, whole, words

KEYS = ("metrics", "baseline", "draws", "permutations", "names", "tables", "figures")
TABLE_KEYS = ("title", "columns", "variants", "published", "note")
FIGURE_KEYS = (
    "kind", "title", "variants", "value", "values", "by", "lines", "per", "group", "y", "x", "lead", "baseline",
    "published", "note",
)  # fmt: skip
Kind = Literal["roc", "bars", "grouped", "panels", "curves"]
Lines = Literal["classes", "confidence", "models"]
VALUES = {
    "bars": "a metric, curve:STAGE:COLUMN, cases:STAGE:COLUMN or explain:KEY",
    "curves": "a metric, curve:STAGE:COLUMN, cases:STAGE:COLUMN or explain:KEY",
    "panels": "panels:STAGE, explain, or explain:EXPLAINER",
}


@dataclass(frozen=True)
class TableSpec:
    """A table with a row per variant, mean ± sd over its runs.

    Attributes:
        name: of its files.
        title: its heading.
        columns: metrics, as in `metrics.json`; empty takes the area of every class, their mean and weighted mean.
        variants: its rows; empty takes all.
        published: per variant and metric, what a paper reports; it stands beside ours and is marked.
        note: a line under it.
    """

    name: str
    title: str = ""
    columns: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    published: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class FigureSpec:
    """A chart over variants.

    Attributes:
        name: of its files.
        kind: `roc` draws curves per variant; `bars` a value per variant; `grouped` values side by side in groups;
            `panels` pictures in rows of classes; `curves` a line per value of an axis over another, with intervals.
        title: its heading.
        variants: what is drawn; empty takes all.
        value: of bars and curves: a metric, `curve:STAGE:COLUMN` of the training curves, `cases:STAGE:COLUMN` of
            `by_case`, or `explain:KEY` of what is explained. Of panels: `panels:STAGE`, `explain` for the maps, or
            `explain:NAME` for those of one explainer.
        values: of grouped bars, by what they are called; each is a `value`.
        by: axis of the grid whose two values are tested against each other, pair by pair, with the signed-rank test;
            over test cases where the value is one of `cases`, else over folds.
        lines: what the curves of `roc` are: `classes`, ranges of `confidence`, or the `models` in one pair of axes.
        per: axis of the grid; a figure for each of its values, with its variants side by side.
        group: axis of the grid whose values are the groups of bars; the other axes are the bars in a group.
        y: name of the axis of grouped bars.
        published: per variant, what a paper reports of the first of `values`.
        x: of curves, the axis of the grid along which they run; there, every value of `by` is a line.
        lead: of curves, the line that is compared with all others.
        baseline: of curves, the line whose last point the lead is to reach.
        note: a line under it.
    """

    name: str
    kind: Kind
    title: str = ""
    variants: tuple[str, ...] = ()
    value: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    lines: Lines = "classes"
    per: str = ""
    group: str = ""
    y: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    x: str = ""
    lead: str = ""
    baseline: str = ""
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What is written at the end.

    Attributes:
        metrics: of the comparison; empty takes balanced accuracy and AUC.
        baseline: the variant that all others are compared with; None compares every pair.
        draws: cohorts of the bootstrap.
        permutations: exchanges of the permutation test.
        names: what variants, values of axes and metrics are called in tables and figures.
        tables: further tables.
        figures: charts.
    """

    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    draws: int = 10_000
    permutations: int = 10_000
    names: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[TableSpec, ...] = ()
    figures: tuple[FigureSpec, ...] = ()


def read_report(value: object, file: str, variants: Sequence[str], axes: Sequence[str]) -> Report:
    """The part `report` of a study.

    Args:
        value: what the file says.
        file: its name.
        variants: names of the variants.
        axes: names of the axes of its grids.

    Raises:
        RecipeError: naming the place and the nearest known word.
    """
    place = f"{file}: report"
    found = mapping(value, place)
    refuse_unknown(found, KEYS, place, "key of a report")
    baseline = found.get("baseline")
    if baseline is not None:
        _variants([baseline], variants, f"{place}.baseline")
    return Report(
        words(found.get("metrics"), f"{place}.metrics"),
        baseline,
        whole(found.get("draws", 10_000), f"{place}.draws"),
        whole(found.get("permutations", 10_000), f"{place}.permutations"),
        {str(key): str(own) for key, own in mapping(found.get("names"), f"{place}.names").items()},
        tuple(
            _table(file_name(name, f"{place}.tables"), own, f"{place}.tables.{name}", variants)
            for name, own in mapping(found.get("tables"), f"{place}.tables").items()
        ),
        tuple(
            _figure(file_name(name, f"{place}.figures"), own, f"{place}.figures.{name}", variants, axes)
            for name, own in mapping(found.get("figures"), f"{place}.figures").items()
        ),
    )


def _table(name: str, value: object, place: str, variants: Sequence[str]) -> TableSpec:
    found = mapping(value, place)
    refuse_unknown(found, TABLE_KEYS, place, "key of a table")
    published = mapping(found.get("published"), f"{place}.published")
    _variants(published, variants, f"{place}.published")
    columns = words(found.get("columns"), f"{place}.columns")
    for key, own in published.items():
        # Without a column it would not be shown.
        if columns:
            refuse_unknown(mapping(own, f"{place}.published.{key}"), columns, f"{place}.published.{key}", "column")
    return TableSpec(
        name,
        str(found.get("title", name)),
        columns,
        _variants(words(found.get("variants"), f"{place}.variants"), variants, f"{place}.variants"),
        {key: mapping(own, f"{place}.published.{key}") for key, own in published.items()},
        str(found.get("note", "")),
    )


def _figure(name: str, value: object, place: str, variants: Sequence[str], axes: Sequence[str]) -> FigureSpec:
    found = mapping(value, place)
    if "strata" in found:
        raise RecipeError(f"{place}: `strata: true` is `lines: confidence` now.")
    refuse_unknown(found, FIGURE_KEYS, place, "key of a figure")
    kind = found.get("kind", "")
    if kind not in get_args(Kind):
        raise RecipeError(f"{place}.kind: {kind!r} is unknown; write {' or '.join(get_args(Kind))}.")
    if kind in VALUES and not isinstance(found.get("value"), str):
        raise RecipeError(f"{place}: {kind} need a `value`: {VALUES[kind]}.")
    values = {str(key): str(own) for key, own in mapping(found.get("values"), f"{place}.values").items()}
    if kind == "grouped" and not (values and found.get("group")):
        raise RecipeError(f"{place}: grouped bars need `values`, by what they are called, and a `group`: an axis.")
    lacking = next((key for key in ("x", "by") if kind == "curves" and not found.get(key)), None)
    if lacking:
        raise RecipeError(
            f"{place}: curves need `{lacking}`, an axis of the grid: {', '.join(axes) or 'there is none'}."
        )
    lines = found.get("lines", "classes")
    if lines not in get_args(Lines):
        raise RecipeError(f"{place}.lines: {lines!r} is unknown; write {', '.join(get_args(Lines))}.")
    for key in ("by", "x", "per", "group"):
        refuse_unknown(words(found.get(key), f"{place}.{key}"), axes, f"{place}.{key}", "axis of a grid")
    published = mapping(found.get("published"), f"{place}.published")
    _variants(published, variants, f"{place}.published")
    return FigureSpec(
        name,
        kind,
        title=str(found.get("title", name)),
        variants=_variants(words(found.get("variants"), f"{place}.variants"), variants, f"{place}.variants"),
        value=str(found.get("value", "")),
        values=values,
        by=str(found.get("by", "")),
        lines=lines,
        per=str(found.get("per", "")),
        group=str(found.get("group", "")),
        y=str(found.get("y", "")),
        x=str(found.get("x", "")),
        lead=str(found.get("lead", "")),
        baseline=str(found.get("baseline", "")),
        published={key: _number(own, f"{place}.published.{key}") for key, own in published.items()},
        note=str(found.get("note", "")),
    )


def _number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{place}: {value!r} is no number. Correct it.")
    return float(value)


def _variants(named: Iterable[str], known: Sequence[str], place: str) -> tuple[str, ...]:
    """The variants behind names; a name with a star stands for all that fit."""
    found: list[str] = []
    for name in named:
        fitting = fnmatch.filter(known, name) if "*" in name else []
        refuse_unknown([] if fitting else [name], known, place, "variant of the study")
        found += fitting or [name]
    return tuple(dict.fromkeys(found))
