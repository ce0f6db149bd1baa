"""The page about a study: what became of every run, how the variants did, and their comparison."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from pathfuse.charts.points import Bar, bars
from pathfuse.charts.style import svg
from pathfuse.core.subsets import as_trained
from pathfuse.report.comparison_page import FILE, comparison_sections, read_comparison
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
from pathfuse.runs.files import VERSIONS, Lines, TextFiles, number
from pathfuse.runs.folder import RunFolder

RUNS, FOLDS = "runs.csv", "folds.csv"
SHOWN = {"balanced_accuracy": "Balanced accuracy", "auroc": "AUC-ROC", "macro_f1": "Macro F1", "accuracy": "Accuracy"}
DRAWN = ("balanced_accuracy", "auroc")


def study_page(folder: Path) -> Page:
    """Everything that a study has written so far; a study that is not finished has a page too."""
    files = TextFiles(folder)
    sections = [_runs(files), _variants(files), *_own(files)]
    if (folder / FILE).is_file():
        sections += comparison_sections(read_comparison(folder))
    else:
        sections.append(
            Section("differences", "Differences", [missing("No comparison: fewer than two variants are finished.")])
        )
    return Page(f"{folder.resolve().name}: report of a study", f"Folder {folder.resolve().name}", sections)


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


def _variants(files: TextFiles) -> Section:
    """Mean and spread over the runs of every variant."""
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
        variant: as_trained([s for v, s in pairs if v == variant], _given(files.path / variant))
        for variant in dict.fromkeys(variant for variant, _ in pairs)
    }
    columns = [Column("variant", "Variant"), Column("given", "Given"), Column("runs", "Runs", "count")]
    for metric, head in SHOWN.items():
        columns += [Column(metric, head, "share"), Column(f"{metric}_sd", "sd", "share")]
    return Section("variants", "Variants", [
        Table("spread", "Mean and standard deviation over the runs of a variant", columns, records),
        Text(["Folds share training patients, so the deviation is no confidence interval."]),
        *(_bars(metric, stand, values) for metric in DRAWN if any(key[2] == metric for key in values)),
    ])  # fmt: skip


def _given(variant: Path) -> Sequence[str] | None:
    """The stains that the models of a variant were given in training; None where they were given all."""
    run = next(iter(sorted(variant.glob(f"seed*/*/{VERSIONS}"))), None)
    return None if run is None else RunFolder(run.parent).given


def _bars(metric: str, stand: Mapping[str, str], values: dict[tuple[str, str, str], list[float]]) -> Chart:
    own = {variant: values.get((variant, subset, metric), []) for variant, subset in stand.items()}
    drawn = bars([Bar(name, mean(v), v) for name, v in own.items() if v], y=SHOWN[metric], top=1.0)
    title = f"{SHOWN[metric]} of the variants, given all stains they were trained with"
    return Chart(f"bars_{metric}", title, svg(drawn, title, "Bars: means. Points: single runs."), own)


def _own(files: TextFiles) -> list[Section]:
    """Tables and figures that the study itself asked for."""
    blocks: list[Block] = []
    for path in sorted((files.path / "tables").glob("*.csv")):
        rows = files.lines(f"tables/{path.name}")
        if rows:
            blocks.append(_table(path.stem, rows))
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
    columns = [Column(key, key.replace("_", " "), "number" if key in numeric else "text") for key in rows[0]]
    records = [{key: cell(value) if key in numeric else value for key, value in row.items()} for row in rows]
    records = [{key: None if value == "" and key in numeric else value for key, value in r.items()} for r in records]
    return Table(f"table_{name}", name.replace("_", " "), columns, records)


def _picture(path: Path) -> Picture:
    # As an image, in which no script of a drawing from elsewhere would run.
    uri = "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
    name = path.stem.replace("_", " ")
    return Picture(uri, f"Figure {name}; its numbers are in figures/{path.stem}.csv", name)
