"""Figures of objectives for single test cases, and the log of a stage in the epoch that was kept."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from pathfuse.evaluate.metrics.resampling import percentile_interval
from pathfuse.report.page import Block, Column, Example, Gallery, Picture, Raw, Record, Section, Table, Text
from pathfuse.runs.files import BY_CASE, PANELS, Lines, number
from pathfuse.runs.folder import RunFolder

DRAWS = 1000
PNG, LARGEST = b"\x89PNG", 1_000_000
WHO = ("case_id", "patient_id", "target")
SAID = {
    "mean_correlation": "correlation of h(Z) with the reference stain, all stains given",
    "mean_correlation_from": "correlation of h(Z) with the reference stain, from this stain alone",
    "shuffled": "the same with the reference stain of another patient",
    "grey": "the same of the grey image of this stain, without a network",
    "retrieval_rank1_from": "the partner is more alike than any other patient's",
    "retrieval_mrr_from": "1 / rank of the partner",
    "retrieval_pooled_rank1_from": "the same by channel means, which know no place",
    "retrieval_pooled_mrr_from": "1 / rank by channel means",
    "retrieval_pooled_mrr": "1 / rank by channel means, mean over stains",
    "retrieval_chance_from": "the partner comes first, for guesses",
    "dab_from": "DAB of the reference stain as it is rebuilt from this stain",
    "dab": "DAB of the real reference stain",
}


def by_case_sections(run: RunFolder) -> list[Section]:
    """A section per stage whose objective says something about single cases; none for other runs."""
    found = []
    for stage in run.config.get("stages") or {}:
        rows = run.lines(f"{BY_CASE}/{stage}.csv")
        names = [name for name in (rows[0] if rows else {}) if name not in WHO]
        if names:
            found.append(_section(run, str(stage), rows, names))
    return found


def _section(run: RunFolder, stage: str, rows: Lines, names: list[str]) -> Section:
    ranks = {name: rank for rank, name in enumerate(run.predictions.classes)}
    records = [_record(rows, name, ranks) for name in names]
    columns = [
        Column("figure", "Figure"), Column("said", "Is"), Column("n_cases", "Test cases", "count"),
        Column("mean", "Mean", "signed", interval=True), Column("spearman", "Spearman with the score", "signed"),
    ]  # fmt: skip
    blocks: list[Block] = [
        Table("by_case", f"Stage {stage}: means over test cases", columns, records),
        Text([
            f"In brackets: 95 % intervals over patients, {DRAWS} cohorts drawn with replacement. A correlation says "
            "something about the pair only where that with another patient's stain is lower; candidates of retrieval "
            "are the cases of a batch.",
        ]),
        *_panels(run, stage),
        *_kept(run, stage),
    ]  # fmt: skip
    return Section(f"by_case_{stage}", f"What stage {stage} knows of the pair", blocks)


def _record(rows: Lines, name: str, ranks: dict[str, int]) -> Record:
    known = [(row, value) for row in rows if (value := number(row.get(name))) is not None]
    record: dict[str, Raw] = {"figure": name, "said": _said(name), "n_cases": len(known)}
    record |= dict.fromkeys(("mean", "mean_low", "mean_high", "spearman"))
    if known:
        values = np.array([value for _, value in known])
        low, high = _interval(values, [row["patient_id"] for row, _ in known])
        record |= {"mean": float(values.mean()), "mean_low": low, "mean_high": high}
    scored = [(ranks[row["target"]], value) for row, value in known if row["target"] in ranks]
    if len({rank for rank, _ in scored}) > 1 and len({value for _, value in scored}) > 1:
        record |= {"spearman": float(spearmanr(*zip(*scored, strict=True)).statistic)}
    return record


def _interval(values: np.ndarray, patients: list[str]) -> tuple[float | None, float | None]:
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    if len(names) < 2:
        return None, None
    sums, counts = np.bincount(owner, values), np.bincount(owner)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    return percentile_interval((drawn @ sums) / (drawn @ counts))


def _panels(run: RunFolder, stage: str) -> list[Block]:
    """A test case of every class, and what the stage made of it."""
    examples = []
    for row in run.lines(f"{PANELS}/{stage}.csv"):
        # Only names, no paths: a folder may come from a stranger.
        files = {
            kind: run.path / PANELS / stage / Path(name).name
            for kind, name in row.items()
            if kind not in WHO and name and name != ".."
        }
        pictures = [
            Picture(
                "data:image/png;base64," + base64.b64encode(data).decode(), f"{kind} of case {row['case_id']}", kind
            )
            for kind, path in files.items()
            if path.is_file() and path.stat().st_size < LARGEST and (data := path.read_bytes()).startswith(PNG)
        ]
        if pictures:
            examples.append(Example(row["case_id"], f"True {row.get('target')}", pictures))
    return [Gallery(f"panels_{stage}", f"Stage {stage}: a test case per class", examples)] if examples else []


def _kept(run: RunFolder, stage: str) -> list[Block]:
    """What was logged of the validation part in the epoch that was kept."""
    rows, epoch = run.curve(stage), run.kept_epoch(stage)
    row = next((own for own in rows if own.get("epoch") == str(epoch)), None)
    if row is None:
        return []
    records: list[Record] = [
        {"name": name, "value": number(value)} for name, value in row.items() if name.startswith("val/")
    ]
    title = f"Validation part, epoch {epoch}, which was kept"
    return [Table("kept", title, [Column("name", "Logged"), Column("value", "Value", "number")], records, folded=True)]


def _said(name: str) -> str:
    for control in ("shuffled", "grey"):
        if name.endswith(f"_{control}"):
            return SAID[control]
    stem = name.partition("_from_")
    return SAID.get(f"{stem[0]}_from" if stem[1] else name, "")
