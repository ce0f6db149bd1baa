"""Learning curves of a study: a line per way of training over the number of labels, say, and what one gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path

from pathfuse.charts.intervals import interval_lines
from pathfuse.charts.points import Estimate
from pathfuse.charts.style import svg
from pathfuse.study.curves.gains import ByUnit, Gain, by_unit, gain_of, mean_over_seeds
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.naming import measured, named
from pathfuse.study.scores import STEPS, STEPS_BEFORE, RunScores, spread_of
from pathfuse.study.tables import csv_text, number_cell, page
from pathfuse.system.files import write_text

ByVariant = Mapping[str, Sequence[RunScores]]
HEADER = ["line", "at", "mean", "low", "high", "units", "steps_before", "steps"]


@dataclass(frozen=True)
class _Lines:
    """The finished runs of a figure, by line and step."""

    spec: FigureSpec
    study: Study
    variants: Sequence[Variant]
    runs: ByVariant

    @cached_property
    def names(self) -> list[str]:
        return list(dict.fromkeys(variant.axes[self.spec.by] for variant in self.variants))

    @cached_property
    def steps(self) -> list[str]:
        return list(dict.fromkeys(variant.axes[self.spec.x] for variant in self.variants))

    @property
    def value(self) -> str:
        """What is measured, in words."""
        return measured(self.study, self.spec.value)

    def called(self, word: str) -> str:
        """A line, a step or an axis, in words."""
        return named(self.study, word)

    def units(self, name: str, step: str, value: str | None = None) -> ByUnit:
        own = [v for v in self.variants if v.axes[self.spec.by] == name and v.axes[self.spec.x] == step]
        return by_unit(value or self.spec.value, own, (self.spec.by, self.spec.x), self.runs)

    def estimate(self, name: str, step: str) -> Estimate:
        found = mean_over_seeds(self.units(name, step))
        return Estimate(step, found.mean, found.low, found.high)

    def trained(self, name: str, step: str, value: str) -> str:
        """Optimiser steps, as one number or the range of the runs."""
        counts = [count for own in self.units(name, step, value).values() for count in own.values()]
        return " to ".join(dict.fromkeys(f"{count:.0f}" for count in (min(counts), max(counts)))) if counts else "-"

    def gain(self, other: str, step: str) -> Gain:
        return gain_of(self.units(self.spec.lead, step), self.units(other, step))


def write_curves(folder: Path, spec: FigureSpec, study: Study, by_variant: ByVariant) -> list[Path]:
    """Draws the lines, and writes their points, the gains of the lead, and a sentence.

    Args:
        folder: where they go.
        spec: what is drawn.
        study: the study.
        by_variant: the finished runs.
    """
    wanted = [v for v in study.variants if not spec.variants or v.name in spec.variants]
    lines = _Lines(spec, study, [v for v in wanted if spec.x in v.axes and spec.by in v.axes], by_variant)
    points = {name: [lines.estimate(name, step) for step in lines.steps] for name in lines.names}
    points = {name: own for name, own in points.items() if not all(isnan(one.value) for one in own)}
    if not points:
        return []
    what = "cohorts" if study.cohorts else "folds"
    said = sentence(lines, what)
    text = f"Mean of {lines.value} over {what}, seeds averaged, with 95 % intervals. {said} {spec.note}".strip()
    chart = interval_lines(
        {lines.called(name): own for name, own in points.items()}, x=lines.called(spec.x), y=lines.value
    )
    files = {
        folder / f"{spec.name}.svg": svg(chart, spec.title, text),
        folder / f"{spec.name}.csv": csv_text([HEADER, *_rows(lines)]),
        folder / f"{spec.name}.md": _page(lines, points, what, said),
    }
    for path, content in files.items():
        write_text(path, content)
    return list(files)


def sentence(lines: _Lines, what: str) -> str:
    """What the lead gains at the first step, or nothing where there is no lead or too little is finished."""
    spec, (first, last) = lines.spec, (lines.steps[0], lines.steps[-1])
    others = [name for name in lines.names if name != spec.lead]
    found = {name: lines.gain(name, first).apart for name in others if spec.lead}
    found = {name: gain for name, gain in found.items() if gain.units}
    if not found:
        return ""
    parts = [
        f"{gain.mean:+.3f} against {lines.called(name)} ({gain.low:+.3f} to {gain.high:+.3f})"
        for name, gain in found.items()
    ]
    units = max(gain.units for gain in found.values())
    where, lead = f"{first} {lines.called(spec.x)}", lines.called(spec.lead)
    said = f"At {where}, {lead} gains {', '.join(parts)}; 95 % over {units} {what}"
    way = share_of_way(lines, first, last)
    return said + ("." if isnan(way) else f"; {way:.0%} of the way to {lines.called(spec.baseline)} at {last}.")


def share_of_way(lines: _Lines, step: str, last: str) -> float:
    """The gain of the lead over the baseline, as a share of what the baseline gains up to the last step."""
    spec = lines.spec
    if not (spec.lead and spec.baseline):
        return float("nan")
    start, end = (lines.units(spec.baseline, at) for at in (step, last))
    whole = gain_of(end, start).apart.mean
    return lines.gain(spec.baseline, step).apart.mean / whole if whole > 0 else float("nan")


def _rows(lines: _Lines) -> list[list[str]]:
    rows = []
    for name in lines.names:
        for step in lines.steps:
            found = mean_over_seeds(lines.units(name, step))
            counts = [
                spread_of([n for own in lines.units(name, step, value).values() for n in own.values()]).mean
                for value in (STEPS_BEFORE, STEPS)
            ]
            numbers = [number_cell(value) for value in found[:3]]
            rows.append([name, step, *numbers, str(found.units), *map(number_cell, counts)])
    return rows


def _page(lines: _Lines, points: Mapping[str, Sequence[Estimate]], what: str, said: str) -> str:
    spec = lines.spec
    means = [
        [
            lines.called(name),
            *(mean_over_seeds(lines.units(name, step)).text() for step in lines.steps),
            *(
                ", ".join(dict.fromkeys(lines.trained(name, step, value) for step in lines.steps))
                for value in (STEPS_BEFORE, STEPS)
            ),
        ]
        for name in points
    ]
    heads = [
        lines.called(spec.by),
        *(f"{step} {lines.called(spec.x)}" for step in lines.steps),
        "steps before",
        "steps",
    ]
    tables = [(f"Mean of {lines.value} (95 % interval over {what})", heads, means)]
    gains = []
    for step in lines.steps:
        for name in points:
            if spec.lead and name != spec.lead and (gain := lines.gain(name, step)).apart.units:
                p = "-" if isnan(gain.p) else f"{gain.p:.4f}"
                gains.append([step, lines.called(name), gain.apart.text(), f"{gain.better} of {gain.apart.units}", p])
    if gains:
        heads = [lines.called(spec.x), "against", "gain (95 % interval)", f"better in {what}", "signed-rank p"]
        tables.append((f"What {lines.called(spec.lead)} gains", heads, gains))
    notes = [
        f"A value is the mean of its seeds first; intervals are Student's t over {what}.",
        "Steps are those of the optimiser in the last stage; `steps before` are those of the stages before it.",
        *([said] if said else []),
        *([spec.note] if spec.note else []),
    ]
    return page(spec.title, tables, notes)
