"""The page about a study: what became of every run, how the variants did, and their comparison."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from pathfuse.charts.points import Bar, bars
from pathfuse.charts.style import svg
from pathfuse.core.subsets import Shown
from pathfuse.errors import RunError
from pathfuse.evaluate.compare.files import JSON, read_comparison
from pathfuse.evaluate.compare.findings import Comparison
from pathfuse.evaluate.compare.run import ComparedRun, read_runs
from pathfuse.evaluate.compare.scored import Scored
from pathfuse.evaluate.groups import GroupValue, cells_of, group_values
from pathfuse.evaluate.names import METRICS, metric_name
from pathfuse.report.comparison_page import chance_of, comparison_sections
from pathfuse.report.groups import SITE, groups_section
from pathfuse.report.page import (
    Block,
    Chart,
    Column,
    Example,
    Gallery,
    Page,
    Picture,
    Raw,
    Record,
    Section,
    Table,
    Text,
    missing,
)
from pathfuse.report.reference import reference_rows
from pathfuse.runs.files import COLUMNS, VERSIONS, Lines, TextFiles, number
from pathfuse.runs.folder import RunFolder

RUNS, FOLDS = "runs.csv", "folds.csv"
SHOWN = {key: METRICS[key] for key in ("balanced_accuracy", "auroc", "macro_f1", "accuracy")}
DRAWN = ("balanced_accuracy", "auroc")


def study_page(folder: Path, *, by: Sequence[str] = ()) -> Page:
    """Everything that a study has written so far, the answer first; a study that is not finished has a page too.

    Args:
        folder: of the study.
        by: columns of the case table whose values get metrics of their own; without, the site.
    """
    files = TextFiles(folder)
    comparison = read_comparison(folder) if (folder / JSON).is_file() else None
    if comparison is not None:
        answer, *rest = comparison_sections(comparison)
    else:
        why = _alone(files) or "No comparison: fewer than two variants are finished."
        answer, rest = Section("answer", "What was found", [missing(why)]), []
    groups = _groups(files, by or (SITE,))
    sections = [answer, _variants(files, comparison), *groups, *_own(files), *rest, _runs(files)]
    return Page(f"{folder.resolve().name}: report of a study", f"Folder {folder.resolve().name}", sections)


def _groups(files: TextFiles, columns: Sequence[str]) -> list[Section]:
    """Metrics per site or other column of every variant, its test cases of all folds pooled."""
    found: dict[str, dict[str, list[GroupValue]]] = {column: {} for column in columns}
    for folder in [files.path / name for name in dict.fromkeys(row["variant"] for row in files.lines(RUNS))]:
        known = [row for path in sorted(folder.glob(f"seed*/*/{COLUMNS}")) for row in RunFolder(path.parent).columns]
        if not known:
            continue
        if (pooled := _pooled(folder)) is None:
            continue
        run, scored = pooled
        for column in columns:
            cells = cells_of(known, column, scored.case_ids)
            found[column][run.name] = group_values(scored.passes, scored.patient_ids, cells, run.classes)
    return groups_section(found, of="Variant")


def _pooled(variant: Path) -> tuple[ComparedRun, Scored] | None:
    """A variant with its test cases of all folds; None where some runs are not finished and test no case as often."""
    try:
        (run,) = read_runs([variant])
        return run, run.scored(run.shown.fullest(run.subsets))
    except RunError:
        return None


def _references(files: TextFiles, comparison: Comparison | None) -> list[Record]:
    """Scores of no model on the test cases of all folds; none where no variant is finished."""
    if comparison is not None and comparison.counts:
        counts, classes = max(comparison.counts.values(), key=sum), comparison.classes
    else:
        variants = dict.fromkeys(row["variant"] for row in files.lines(RUNS))
        pooled = next(filter(None, (_pooled(files.path / name) for name in variants)), None)
        if pooled is None:
            return []
        run, scored = pooled
        classes, counts = run.classes, tuple(np.bincount(scored.target, minlength=len(run.classes)).tolist())
    blank: dict[str, Raw] = {"given": "", "runs": None, **{f"{metric}_sd": None for metric in SHOWN}}
    return [{**blank, **row} for row in reference_rows(counts, classes, list(SHOWN), key="variant")]


def _alone(files: TextFiles) -> str:
    """What a study of one variant can be compared by."""
    names = {row["variant"] for row in files.lines(RUNS)}
    if len(names) != 1:
        return ""
    return "One variant, which is asked from one combination of stains alone, so nothing is compared."


def _runs(files: TextFiles) -> Section:
    rows = files.lines(RUNS)
    counts = {status: sum(row["status"] == status for row in rows) for status in sorted({r["status"] for r in rows})}
    states: list[Record] = [{"status": status, "runs": count} for status, count in counts.items()]
    records: list[Record] = [
        {key: row.get(key, "") for key in ("variant", "seed", "repeat", "fold", "status", "reason")}
        | {"seconds": number(row.get("seconds"))}
        for row in rows
    ]
    columns = [Column("variant", "Variant"), Column("seed", "Seed"), Column("repeat", "Repeat"), Column("fold", "Fold")]
    columns += [Column("status", "Status"), Column("seconds", "Seconds", "number"), Column("reason", "Why it failed")]
    return Section("runs", "Runs", [
        Table("states", "Runs by status", [Column("status", "Status"), Column("runs", "Runs", "count")], states),
        Table("runs", "Every run", columns, records, folded=len(records) > 30),
    ])  # fmt: skip


def _variants(files: TextFiles, comparison: Comparison | None) -> Section:
    """Mean and spread over the runs of every variant, and what no model scores."""
    rows = files.lines(FOLDS)
    if not rows:
        return Section("variants", "Variants", [missing("There is no folds.csv: no run is finished.")])
    records: list[Record] = []
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        found = number(row["value"])
        if found is not None:
            key = row["variant"], row["subset"], row["metric"].removeprefix("test/")
            values.setdefault(key, []).append(found)
    pairs = list(dict.fromkeys((row["variant"], row["subset"]) for row in rows))
    for variant, subset in pairs:
        record: dict[str, Raw] = {"variant": variant, "given": subset}
        record["runs"] = max((len(values.get((variant, subset, metric), [])) for metric in SHOWN), default=0)
        for metric in SHOWN:
            own = values.get((variant, subset, metric), [])
            record |= {metric: mean(own) if own else None, f"{metric}_sd": stdev(own) if len(own) > 1 else None}
        records.append(record)
    stand = {
        variant: _shown(files.path / variant).fullest(s for v, s in pairs if v == variant)
        for variant in dict.fromkeys(variant for variant, _ in pairs)
    }
    classes = {key[2].partition("/")[2] for key in values if key[2].startswith("auroc/")}
    columns = [Column("variant", "Variant"), Column("given", "Given", "given"), Column("runs", "Runs", "count")]
    for metric, head in SHOWN.items():
        columns += [Column(metric, head, "share"), Column(f"{metric}_sd", "sd", "share")]
    return Section("variants", "Variants", [
        Table("spread", "Mean and standard deviation over the runs of a variant", columns, [
            *records, *_references(files, comparison),
        ]),
        Text(["Folds share training patients, so the deviation is no confidence interval."]),
        *(_bars(metric, stand, values, classes) for metric in DRAWN if any(key[2] == metric for key in values)),
    ])  # fmt: skip


def _shown(variant: Path) -> Shown:
    """What the models of a variant were given in training."""
    run = next(iter(sorted(variant.glob(f"seed*/*/{VERSIONS}"))), None)
    return Shown() if run is None else RunFolder(run.parent).shown


def _bars(
    metric: str, stand: Mapping[str, str], values: dict[tuple[str, str, str], list[float]], classes: Collection[str]
) -> Chart:
    own = {variant: values.get((variant, subset, metric), []) for variant, subset in stand.items()}
    chance = chance_of(metric, sorted(classes)) if classes else None
    drawn = bars([Bar(name, mean(v), v) for name, v in own.items() if v], y=SHOWN[metric], top=1.0, chance=chance)
    title = f"{SHOWN[metric]} of the variants, given all stains they were trained with"
    return Chart(f"bars_{metric}", title, svg(drawn, title, "Bars: means. Points: single runs. Dashes: chance."), own)


def _own(files: TextFiles) -> list[Section]:
    """Tables and figures that the study itself asked for."""
    blocks: list[Block] = []
    for path in sorted((files.path / "tables").glob("*.csv")):
        rows = files.lines(f"tables/{path.name}")
        if rows:
            named = [{**row, "metric": metric_name(row["metric"])} if "metric" in row else row for row in rows]
            blocks.append(_table(path.stem, named))
    pictures = [_picture(path) for path in sorted((files.path / "figures").glob("*.svg"))]
    if pictures:
        examples = [Example("", "", [picture]) for picture in pictures]
        blocks.append(Gallery("figures", "Figures", examples, wide=True))
    return [Section("own", "Tables and figures of the study", blocks)] if blocks else []


def _table(name: str, rows: Lines) -> Table:
    def cell(text: str) -> Raw:
        found = number(text)
        return text if found is None else found

    numeric = {key for key in rows[0] if all(number(row[key]) is not None or not row[key] for row in rows)}
    columns = [
        Column(key, key.replace("_", " "), "number" if key in numeric else "given" if key == "given" else "text")
        for key in rows[0]
    ]
    records = [{key: cell(value) if key in numeric else value for key, value in row.items()} for row in rows]
    records = [{key: None if value == "" and key in numeric else value for key, value in r.items()} for r in records]
    return Table(f"table_{name}", name.replace("_", " "), columns, records)


def _picture(path: Path) -> Picture:
    # As an image, in which no script of a drawing from elsewhere would run.
    uri = "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
    name = path.stem.replace("_", " ")
    return Picture(uri, f"Figure {name}; its numbers are in figures/{path.stem}.csv", name)
