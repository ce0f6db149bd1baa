"""A comparison as a table in the terminal, as `comparison.csv`, `.md` and `.json`; the last is read back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isnan, nan
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.evaluate.compare.findings import CompareOptions, Comparison, Difference, Stratum, Value
from pathfuse.evaluate.names import in_sentence, metric_name
from pathfuse.system.csv_writing import CsvRecordWriter
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_json

JSON = "comparison.json"
STRATA = {"high": "0.9 and above", "medium": "0.75 to 0.9", "low": "below 0.75"}


def write_comparison(folder: Path, comparison: Comparison) -> list[Path]:
    """Writes all files and returns their paths; equal comparisons give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"comparison.csv": as_csv(comparison), "comparison.md": as_markdown(comparison), JSON: as_json(comparison)}
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]


def as_csv(comparison: Comparison) -> str:
    """One line per value, difference and stratum; `kind` says which, and a cell that does not apply is empty."""
    columns = list(dict.fromkeys(f.name for kind in (Value, Difference, Stratum) for f in fields(kind)))
    text = io.StringIO()
    table = CsvRecordWriter(text, ["kind", *columns], lineterminator="\n")
    for kind, found in (
        ("value", comparison.values),
        ("difference", comparison.differences),
        ("stratum", comparison.strata),
    ):
        for one in found:
            table.writerow({"kind": kind, **{key: _cell(value) for key, value in asdict(one).items()}})
    return text.getvalue()


def as_json(comparison: Comparison) -> str:
    """All of it, unrounded, in the form that `read_comparison` reads."""
    return json.dumps({"comparison": _without_nan(asdict(comparison))}, indent=1, ensure_ascii=False) + "\n"


def read_comparison(folder: Path) -> Comparison:
    """A comparison as it was written.

    Raises:
        RunError: if the file cannot be read.
    """
    path = folder / JSON
    try:
        raw = read_json(path)["comparison"]
        options = raw["options"]
        return Comparison(
            tuple(raw["runs"]),
            tuple(raw["classes"]),
            CompareOptions(**{**options, "metrics": tuple(options["metrics"])}),
            tuple(Value(**_with_nan(one)) for one in raw["values"]),
            tuple(Difference(**_with_nan(one)) for one in raw["differences"]),
            tuple(Stratum(**_with_nan(one)) for one in raw["strata"]),
            tuple(raw["notes"]),
            raw["answer"],
            raw["within"],
            {str(subset): tuple(map(int, own)) for subset, own in raw["counts"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise cannot_be_read(RunError, path, error, "Compare again with `pathfuse compare`.") from error


def _with_nan(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: nan if value is None else value for key, value in record.items()}


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and isnan(value) else value


def as_markdown(comparison: Comparison) -> str:
    """The tables with what they mean, to be read or sent to a reviewer."""
    lines = [f"# {comparison.title}", "", *([comparison.answer, ""] if comparison.answer else [])]
    for title, heads, rows in _tables(comparison):
        cells = [[cell.replace("\n", " ").replace("|", "\\|") for cell in row] for row in (heads, *rows)]
        lines += [f"## {title}", "", _row(cells[0]), _row(["---"] * len(heads)), *map(_row, cells[1:]), ""]
    lines += ["## How to read this", "", *(f"- {text}" for text in explanations(comparison)), ""]
    return "\n".join(lines)


def as_table(comparison: Comparison) -> Group:
    """The tables for the terminal."""
    parts: list[Table | Text] = [Text(comparison.answer, style="bold")] if comparison.answer else []
    for title, heads, rows in _tables(comparison):
        # As a line of its own: a title would wrap at the width of a narrow table.
        parts.append(Text(title, style="bold"))
        table = Table(box=SIMPLE_HEAD, padding=0)
        for position, head in enumerate(heads):
            table.add_column(head, justify="left" if position == 0 else "right")
        for row in rows:
            table.add_row(*map(Text, row))
        parts.append(table)
    parts += [Text(text) for text in comparison.notes]
    return Group(*parts)


def explanations(comparison: Comparison) -> list[str]:
    """What was done, one sentence each, and what to know about these runs."""
    options = comparison.options
    tests = sum(not isnan(found.p_permutation) for found in comparison.differences)
    return [
        f"Intervals: {options.level:.0%}, percentiles of {options.draws} cohorts of patients drawn with replacement; "
        f"the same cohorts for all runs. Seed {options.seed}.",
        f"p: permutation test (mid-p), {options.permutations} exchanges of the two runs per patient; ranking "
        "metrics exchange ranks. p (Holm) is adjusted for all tests of its column"
        f" (permutation: {tests}).",
        "DeLong: two-sided test of the area of one class, cases of a patient taken together (Obuchowski).",
        "Wilcoxon: signed-rank test over folds, from five folds on, seeds of a fold averaged; folds share training "
        "patients, so it is approximate.",
        "Error reduction: share of what the baseline lacks to a perfect value that the run gains.",
        "Right only in: cases that one of the two predicts right and the other wrong; g is Cohen's g.",
        *comparison.notes,
    ]


_Table = tuple[str, list[str], list[list[str]]]


def _tables(comparison: Comparison) -> Iterable[_Table]:
    subsets = list(dict.fromkeys(value.subset for value in comparison.values))
    for metric in dict.fromkeys(value.metric for value in comparison.values):
        own = {(v.run, v.subset): v for v in comparison.values if v.metric == metric}
        cells = {key: _with_interval(v.value, v.low, v.high) for key, v in own.items()}
        rows = [[run, *(cells.get((run, subset), "-") for subset in subsets)] for run in comparison.runs]
        sizes = {v.subset: f"{v.subset}\n{v.n_cases} ({v.n_patients})" for v in own.values()}
        title = f"{metric_name(metric)} by what was given, cases (patients)"
        yield title, ["Run", *(sizes[s] for s in subsets)], rows
    yield from _differences(comparison)
    yield (
        "Strata by confidence: cases, accuracy, AUC-ROC",
        ["Given, run", *STRATA.values()],
        _strata(comparison.strata),
    )


def _differences(comparison: Comparison) -> Iterable[_Table]:
    heads = ["Given, metric,\nrun - baseline", "Difference", "Error\nreduction", "Right only\nin run/in\nbaseline (g)"]
    heads += ["p", "p (Holm)", "DeLong p\n(Holm)", "Wilcoxon p\n(Holm)"]
    rows = [
        [
            f"{d.subset}, {in_sentence(metric_name(d.metric))},\n{d.run} - {d.baseline}",
            _with_interval(d.difference, d.low, d.high, "+.3f"),
            _share(d.error_reduction, "+.0%"),
            f"{d.only_run_right:g}/{d.only_baseline_right:g}\n({_share(d.cohens_g, '+.2f')})",
            _p(d.p_permutation),
            _p(d.p_permutation_holm),
            _both(d.p_delong, d.p_delong_holm),
            _both(d.p_wilcoxon, d.p_wilcoxon_holm),
        ]
        for d in comparison.differences
    ]
    if rows:
        applies = [column for column in range(len(heads)) if any(row[column] != "-" for row in rows)]
        yield "Differences", [heads[c] for c in applies], [[row[c] for c in applies] for row in rows]


def _strata(strata: Sequence[Stratum]) -> list[list[str]]:
    own = {(s.subset, s.run, s.stratum): s for s in strata}
    rows = []
    for subset, run in dict.fromkeys((s.subset, s.run) for s in strata):
        cells = [own[subset, run, name] for name in STRATA]
        rows.append([f"{subset}, {run}", *(f"{c.n}, {_share(c.accuracy)}, {_share(c.auroc)}" for c in cells)])
    return rows


def _with_interval(value: float, low: float, high: float, form: str = ".3f") -> str:
    return _share(value, form) + ("" if isnan(low) else f"\n({low:{form}} to {high:{form}})")


def _share(value: float, form: str = ".3f") -> str:
    return "-" if isnan(value) else f"{value:{form}}"


def _p(value: float) -> str:
    return "-" if isnan(value) else "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _both(p: float, adjusted: float) -> str:
    return "-" if isnan(p) else f"{_p(p)}\n({_p(adjusted)})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.6f}"
    return str(value)
