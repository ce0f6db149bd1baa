"""Metrics per site, or per value of another column, on the pages of runs and studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pathfuse.charts.points import Estimate, forest
from pathfuse.charts.style import svg
from pathfuse.evaluate.groups import METRICS, GroupValue, group_sentence
from pathfuse.evaluate.names import in_sentence, metric_name
from pathfuse.report.page import FEWEST, GREYED, Block, Chart, Column, Raw, Record, Section, Table, Text, missing

SITE = "site"
READING = (
    "Gap: the group less all other cases, with its 95 % interval over patients. p: how often a gap as large comes "
    "about if the patients of each label are dealt out among the groups at random; Holm: adjusted for all groups."
)
Found = Mapping[str, Sequence[GroupValue]]
"""Findings by what they are of, such as a variant."""


def groups_section(by_column: Mapping[str, Found], *, of: str) -> list[Section]:
    """A chapter with one table per column; none where nothing was asked for and there is nothing to show.

    Args:
        by_column: per column, the findings.
        of: what the findings are of, as a heading: what was given, or the variant.
    """
    blocks: list[Block] = []
    few = False
    for column, found in by_column.items():
        if not any(found.values()):
            if column != SITE:
                blocks.append(missing(f"The test cases have no two values of {column}, or the run does not know it."))
            continue
        for name, own in found.items():
            if own:
                said = group_sentence(own, column)
                blocks += [Text([f"{name}: {said}" if len(found) > 1 else said])] if said else []
                blocks += _forest(column, name, own, several=len(found) > 1)
        table = _table(column, found, of)
        few = few or bool(table.faint)
        blocks.append(table)
    if not blocks:
        return []
    return [Section("groups", "Sites and groups", [*blocks, Text([READING, *([GREYED] if few else [])])])]


def _table(column: str, found: Found, of: str) -> Table:
    rows: list[tuple[str, str, list[GroupValue]]] = [
        (name, group, [one for one in own if one.group == group])
        for name, own in found.items()
        for group in dict.fromkeys(one.group for one in own)
    ]
    records: list[Record] = []
    for name, group, own in rows:
        record: dict[str, Raw] = {"group": group, "of": name, "n_cases": own[0].n_cases}
        record |= {"n_patients": own[0].n_patients, "fewest": own[0].fewest}
        for one in own:
            cells = {key: asdict(one)[key] for key in ("value", "gap", "p_holm")}
            limits = {"value_low": one.low, "value_high": one.high, "gap_low": one.gap_low, "gap_high": one.gap_high}
            record |= {f"{one.metric}_{key}": cell for key, cell in {**cells, **limits}.items()}
        records.append(record)
    columns = [Column("group", column.replace("_", " ").capitalize())]
    columns += [Column("of", of, "given" if of == "Given" else "text")]
    columns += [Column("n_cases", "Cases", "count"), Column("n_patients", "Patients", "count")]
    columns += [Column("fewest", "Of the rarest class", "count")]
    for metric in METRICS:
        name = metric_name(metric)
        columns += [Column(f"{metric}_value", name, "share", True), Column(f"{metric}_gap", "Gap", "signed", True)]
        columns += [Column(f"{metric}_p_holm", "p (Holm)", "p")]
    faint = [row for row, (_, _, own) in enumerate(rows) if own[0].fewest < FEWEST]
    return Table(f"by_{column}", f"Test metrics per {column.replace('_', ' ')}", columns, records, faint=faint)


def _forest(column: str, name: str, found: Sequence[GroupValue], *, several: bool) -> list[Block]:
    own = [one for one in found if one.metric == METRICS[0] and one.gap_low == one.gap_low]
    if not own:
        return []
    metric = in_sentence(metric_name(METRICS[0]))
    title = f"Gap in {metric} per {column}" + (f", {name}" if several else "")
    says = "Diamonds: the 95 % interval keeps off zero. To the left the group does worse than the rest."
    rows = [Estimate(f"{one.group}\n{one.n_patients} patients", one.gap, one.gap_low, one.gap_high) for one in own]
    data = [asdict(one) for one in own]
    return [
        Chart(f"gaps_{column}_{name}", f"{title}. {says}", svg(forest(rows, x=f"Gap in {metric}"), title, says), data)
    ]
