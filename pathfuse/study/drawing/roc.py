"""ROC curves of variants: one chart each, or side by side, or as lines of one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import auc, roc_curve  # type: ignore[import-untyped]

from pathfuse.charts.lines import Line, roc, roc_panels
from pathfuse.charts.style import svg
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.evaluate.metrics.strata import BORDERS, STRATA
from pathfuse.runs.rows import Rows
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.naming import called, named
from pathfuse.study.drawing.paired import ByVariant
from pathfuse.study.scores import RunScores, subset_of
from pathfuse.study.tables import csv_text
from pathfuse.system.files import write_text

RANGES = {"low": "below 0.75", "medium": "0.75 to 0.9", "high": "0.9 and above"}
SAID = {
    "classes": "ROC per class",
    "confidence": "ROC per range of confidence, classes pooled",
    "models": "ROC per model, classes pooled",
}


def write_roc(
    folder: Path, spec: FigureSpec, study: Study, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    """A chart per variant; with `per` one for each value of that axis; with lines of `models` all in one."""
    groups: dict[str, list[Variant]] = {}
    for variant in variants:
        alone = "" if spec.lines == "models" else variant.name
        groups.setdefault(variant.axes.get(spec.per, "") if spec.per else alone, []).append(variant)
    return [path for key, own in groups.items() for path in _chart(folder, spec, study, key, own, by_variant)]


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
            found[f"{RANGES[name]}, n = {len(here)}"] = pooled_curve(here)
    return found


def pooled_curve(rows: Rows) -> Line:
    """The ROC curve of all classes together; a case counts once per class (micro-average)."""
    truth = rows.target[:, None] == np.arange(rows.prob.shape[1])
    return _curve(truth.ravel(), rows.prob.ravel())


def _chart(
    folder: Path, spec: FigureSpec, study: Study, key: str, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    without = (spec.per,) if spec.per else ()
    panels: dict[str, dict[str, Line]] = {}
    for variant in variants:
        found = _test_rows(variant, by_variant[variant.name])
        if found is not None:
            panels[called(study, variant, without=without)] = _lines(spec, *found)
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return []
    title = f"{spec.title}: {named(study, key)}" if key else spec.title
    text = f"{SAID[spec.lines]}; test cases of all runs of a variant pooled. {spec.note}".strip()
    if spec.lines == "models":
        panels = {"": {name: lines["all classes"] for name, lines in panels.items()}}
        drawn = roc(panels[""], "Model (AUC)")
    else:
        drawn = roc_panels(panels) if spec.per else roc(next(iter(panels.values())))
    return _write(folder, f"{spec.name}_{key}" if key else spec.name, svg(drawn, title, text), panels)


def _lines(spec: FigureSpec, rows: Rows, classes: Sequence[str]) -> dict[str, Line]:
    if spec.lines == "models":
        return {"all classes": pooled_curve(rows)} if len(rows) else {}
    return strata_curves(rows) if spec.lines == "confidence" else curves(rows, classes)


def _test_rows(variant: Variant, runs: Sequence[RunScores]) -> tuple[Rows, tuple[str, ...]] | None:
    """The test cases of all runs, and the classes."""
    read = read_runs([run.job.folder for run in runs])
    subset = subset_of(variant, runs)
    parts = [scored.passes[0] for run in read if subset in run.subsets and (scored := run.scored(subset))]
    if not parts:
        return None
    rows = parts[0]
    for part in parts[1:]:
        rows = Rows.cat(rows, part)
    return rows, tuple(read[0].classes)


def _write(folder: Path, name: str, picture: str, panels: Mapping[str, Mapping[str, Line]]) -> list[Path]:
    write_text(folder / f"{name}.svg", picture)
    points = [["panel", "line", "false_positive_rate", "true_positive_rate", "auc"]]
    for panel, lines in panels.items():
        for key, line in lines.items():
            points += [[panel, key, f"{x:.6f}", f"{y:.6f}", line.note] for x, y in zip(line.x, line.y, strict=True)]
    write_text(folder / f"{name}.csv", csv_text(points))
    return [folder / f"{name}.svg", folder / f"{name}.csv"]


def _curve(positive: np.ndarray, score: np.ndarray) -> Line:
    false, true, _ = roc_curve(positive, score)
    return Line(false.tolist(), true.tolist(), f"{auc(false, true):.3f}")
