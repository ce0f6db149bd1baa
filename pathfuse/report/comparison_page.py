"""The page about a comparison of runs: a sentence that answers, one forest plot, one table; then everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from pathfuse.charts.points import Estimate, forest
from pathfuse.charts.style import svg
from pathfuse.evaluate.compare.files import STRATA, explanations
from pathfuse.evaluate.compare.findings import Comparison, Difference
from pathfuse.evaluate.compare.run import SAME_PATIENTS
from pathfuse.evaluate.names import from_given, given_name, in_sentence, metric_name
from pathfuse.report.page import FEWEST, Block, Chart, Column, Page, Raw, Section, Table, Text, missing
from pathfuse.report.reference import reference_rows

MOST_ROWS = 40  # of a chart; the table has all
MOST_METRICS = 4  # of the first table; the second has all
P_VALUES = {
    "p_permutation": "p",
    "p_permutation_holm": "p (Holm)",
    "p_delong": "DeLong p",
    "p_delong_holm": "DeLong p (Holm)",
    "p_wilcoxon": "Wilcoxon p",
    "p_wilcoxon_holm": "Wilcoxon p (Holm)",
}
EVEN = {"accuracy", "balanced_accuracy"}
COIN = {"auroc", "auroc_weighted"}


def comparison_page(comparison: Comparison) -> Page:
    """The answer, then differences with their tests, strata, and how to read them."""
    sections = comparison_sections(comparison)
    return Page(
        comparison.title,
        f"Classes: {', '.join(comparison.classes)}",
        sections,
        {"comparison": asdict(comparison)},
    )


def comparison_sections(comparison: Comparison) -> list[Section]:
    """The chapters, which the page of a study has too."""
    return [answer_section(comparison), _tests(comparison), _strata(comparison), _reading(comparison)]


def answer_section(comparison: Comparison) -> Section:
    """One sentence, one forest plot, one table."""
    blocks: list[Block] = [Text([comparison.answer], lead=True)] if comparison.answer else []
    for note in comparison.notes:
        if "Left out:" in note:
            said = note.removeprefix(f"{SAME_PATIENTS}: ")
            blocks.append(Text([said[0].upper() + said[1:]]))
    return Section("answer", "What was found", [*blocks, *_forest(comparison), *_values(comparison)])


def _forest(comparison: Comparison) -> list[Block]:
    metrics = comparison.metrics
    found = [one for one in comparison.differences if metrics and one.metric == metrics[0]][:MOST_ROWS]
    if not found:
        return [missing("There is no pair of runs to compare.")]
    name = in_sentence(metric_name(metrics[0]))
    rows = [
        Estimate(
            _pair(comparison, d) if comparison.within else f"{_pair(comparison, d)}\n{_given(d.subset)}",
            *(d.difference, d.low, d.high),
        )
        for d in found
    ]
    title = f"Difference in {name}, with {comparison.options.level:.0%} interval"
    says = "Diamonds: the interval keeps off zero. Circles: it does not. To the right the first of the two has more."
    data = [
        {"run": d.run, "baseline": d.baseline, "given": d.subset, "difference": d.difference, "low": d.low,
         "high": d.high}
        for d in found
    ]  # fmt: skip
    drawn = svg(forest(rows, x=f"Difference in {name}"), title, says)
    return [Chart("forest", f"{title}. {says}", drawn, data)]


def _pair(comparison: Comparison, one: Difference) -> str:
    """Who less whom."""
    if comparison.within:
        return f"{given_name(one.run)} less {given_name(one.baseline)}"
    return f"{one.run} less {one.baseline}"


def _given_column(comparison: Comparison, head: str) -> list[Column]:
    """What was given; within one run the row says it already."""
    return [] if comparison.within else [Column("given", head)]


def _given(subset: str) -> str:
    return subset if subset in (SAME_PATIENTS, "as trained") else f"from {from_given(subset)}"


def _values(comparison: Comparison) -> list[Block]:
    """A row per run and what it was given, a column per metric."""
    metrics = comparison.metrics[:MOST_METRICS]
    records: dict[tuple[str, str], dict[str, Raw]] = {}
    for v in comparison.values:
        name = given_name(v.run) if comparison.within else v.run
        key = v.run, v.subset
        start: dict[str, Raw] = {
            "run": name,
            "given": _given(v.subset),
            "n_cases": v.n_cases,
            "n_patients": v.n_patients,
        }
        records.setdefault(key, start)
        if v.metric in metrics:
            records[key] |= {v.metric: v.value, f"{v.metric}_low": v.low, f"{v.metric}_high": v.high}
    columns = [Column("run", "Given" if comparison.within else "Run")]
    columns += _given_column(comparison, "Given")
    columns += [Column(metric, metric_name(metric), "share", interval=True) for metric in metrics]
    columns += [Column("n_cases", "Cases", "count"), Column("n_patients", "Patients", "count")]
    rows = [*records.values(), *reference_records(comparison, metrics)]
    return [Table("values", "Metrics with intervals over patients", columns, rows)]


def reference_records(comparison: Comparison, metrics: Sequence[str]) -> Iterator[dict[str, Raw]]:
    """Chance and the most frequent class for every case, once per set of cases that is compared."""
    blank: dict[str, Raw] = {f"{name}{end}": None for name in metrics for end in ("_low", "_high")}
    for counts in dict.fromkeys(comparison.counts.values()):
        own = [subset for subset, cases in comparison.counts.items() if cases == counts]
        several = len(set(comparison.counts.values())) > 1
        given = ", ".join(map(_given, own)) if several else ""
        sizes: dict[str, Raw] = {"given": given, "n_cases": sum(counts), "n_patients": None}
        for row in reference_rows(counts, comparison.classes, metrics, key="run"):
            yield {**sizes, **blank, **row}


def chance_of(metric: str, classes: Sequence[str]) -> float | None:
    """What drawing classes evenly scores, where that does not depend on the cases."""
    if metric in EVEN:
        return 1 / len(classes)
    return 0.5 if metric in COIN or metric.startswith("auroc/") else None


def _tests(comparison: Comparison) -> Section:
    """Every pair and metric with its tests and effect sizes."""
    found = comparison.differences
    if not found:
        return Section("differences", "Differences", [missing("There is no pair of runs to compare.")])
    applies = {key: head for key, head in P_VALUES.items() if any(asdict(d)[key] == asdict(d)[key] for d in found)}
    records: list[dict[str, Raw]] = [
        {"pair": _pair(comparison, d), "given": _given(d.subset), "metric": metric_name(d.metric)}
        | {"difference": d.difference, "difference_low": d.low, "difference_high": d.high}
        | {key: asdict(d)[key] for key in ("error_reduction", "only_run_right", "only_baseline_right", "cohens_g")}
        | {key: asdict(d)[key] for key in applies}
        for d in found
    ]
    columns = [Column("pair", "Pair"), *_given_column(comparison, "Given"), Column("metric", "Metric")]
    columns += [Column("difference", "Difference", "signed", interval=True)]
    columns += [Column(key, head, "p") for key, head in applies.items()]
    columns += [Column("error_reduction", "Error reduction", "percent")]
    columns += [Column("only_run_right", "Right only in the first", "number")]
    columns += [Column("only_baseline_right", "Right only in the second", "number"), Column("cohens_g", "g", "signed")]
    return Section("differences", "Differences and their tests", [Table("pairs", "Every pair", columns, records)])


def _strata(comparison: Comparison) -> Section:
    records: list[dict[str, Raw]] = [
        {
            **{"run": given_name(s.run) if comparison.within else s.run, "given": _given(s.subset)},
            **{"confidence": STRATA.get(s.stratum, s.stratum)},
            **{"n": s.n, "accuracy": s.accuracy, "auroc": s.auroc},
        }
        for s in comparison.strata
    ]
    columns = [Column("run", "Given" if comparison.within else "Run"), *_given_column(comparison, "Given")]
    columns += [Column("confidence", "Confidence"), Column("n", "Cases", "count")]
    columns += [Column("accuracy", "Accuracy", "share"), Column("auroc", "AUC-ROC", "share")]
    faint = [row for row, s in enumerate(comparison.strata) if s.n < FEWEST]
    head = "Strata by confidence" + (f" (grey: fewer than {FEWEST} cases)" if faint else "")
    return Section("strata", "Confidence", [Table("strata", head, columns, records, folded=True, faint=faint)])


def _reading(comparison: Comparison) -> Section:
    return Section("reading", "How to read this", [Text(explanations(comparison), points=True)])
