"""The part of a study's YAML file that says what is written at its end."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pathfuse.errors import RecipeError
from pathfuse.study.reading import file_name, mapping, refuse_unknown, whole, words

KEYS = ("metrics", "baseline", "draws", "permutations", "tables", "figures")
TABLE_KEYS = ("title", "columns", "variants", "published", "note")
FIGURE_KEYS = ("kind", "title", "variants", "value", "by", "x", "lead", "baseline", "strata", "note")
Kind = Literal["roc", "bars", "curves"]


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
        kind: `roc` draws the curves of every class per variant; `bars` a value per variant; `curves` a line per value
            of the axis `by` over those of the axis `x`, with intervals.
        title: its heading.
        variants: what is drawn; empty takes all.
        value: of bars and curves: a metric, `curve:STAGE:COLUMN` of the training curves, or `explain:KEY` of
            `explain.json`.
        by: axis of the grid. Of bars, its two values are tested against each other, pair by pair, with the signed-rank
            test; of curves, every value is a line.
        x: of curves, the axis of the grid along which they run.
        lead: of curves, the line that is compared with all others.
        baseline: of curves, the line whose last point the lead is to reach.
        strata: `roc` draws ranges of confidence instead of classes.
        note: a line under it.
    """

    name: str
    kind: Kind
    title: str = ""
    variants: tuple[str, ...] = ()
    value: str = ""
    by: str = ""
    x: str = ""
    lead: str = ""
    baseline: str = ""
    strata: bool = False
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What is written at the end.

    Attributes:
        metrics: of the comparison; empty takes balanced accuracy and AUC.
        baseline: the variant that all others are compared with; None compares every pair.
        draws: cohorts of the bootstrap.
        permutations: exchanges of the permutation test.
        tables: further tables.
        figures: charts.
    """

    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    draws: int = 10_000
    permutations: int = 10_000
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
    refuse_unknown(found, FIGURE_KEYS, place, "key of a figure")
    if found.get("kind") not in get_args(Kind):
        raise RecipeError(f"{place}.kind: {found.get('kind')!r} is unknown; write {' or '.join(get_args(Kind))}.")
    if found["kind"] != "roc" and not isinstance(found.get("value"), str):
        raise RecipeError(f"{place}: {found['kind']} need a `value`: a metric, curve:STAGE:COLUMN or explain:KEY.")
    lacking = next((key for key in ("x", "by") if found["kind"] == "curves" and not found.get(key)), None)
    if lacking:
        raise RecipeError(
            f"{place}: curves need `{lacking}`, an axis of the grid: {', '.join(axes) or 'there is none'}."
        )
    for key in ("by", "x"):
        refuse_unknown(words(found.get(key), f"{place}.{key}"), axes, f"{place}.{key}", "axis of a grid")
    return FigureSpec(
        name,
        found["kind"],
        str(found.get("title", name)),
        _variants(words(found.get("variants"), f"{place}.variants"), variants, f"{place}.variants"),
        str(found.get("value", "")),
        str(found.get("by", "")),
        str(found.get("x", "")),
        str(found.get("lead", "")),
        str(found.get("baseline", "")),
        bool(found.get("strata", False)),
        str(found.get("note", "")),
    )


def _variants(named: Iterable[str], known: Sequence[str], place: str) -> tuple[str, ...]:
    """The variants behind names; a name with a star stands for all that fit."""
    found: list[str] = []
    for name in named:
        fitting = fnmatch.filter(known, name) if "*" in name else []
        refuse_unknown([] if fitting else [name], known, place, "variant of the study")
        found += fitting or [name]
    return tuple(dict.fromkeys(found))
