"""Gain by a further stain: every combination on the same patients, with paired differences."""

from __future__ import annotations

from pathfuse.charts.points import Estimate, forest
from pathfuse.charts.style import svg
from pathfuse.evaluate.availability import PAIRED, as_available
from pathfuse.evaluate.names import METRICS, given_name, in_sentence
from pathfuse.report.page import Block, Chart, Column, Record, Table, Text
from pathfuse.runs.files import MODALITIES
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import SubsetPredictions


def available_cases(run: RunFolder) -> SubsetPredictions:
    """Every test case once, from the most stains it has among those that the model was trained to be given."""
    return as_available(run.trained_cases)[0]


def same_patients(run: RunFolder) -> list[Block]:
    """The combinations on the cases that have all, and their differences; nothing where there is but one."""
    same = run.json(MODALITIES).get("same_patients")
    if not same:
        return []
    values: list[Record] = [
        {"given": subset, **{name: own.get(f"test/{name}") for name in PAIRED}}
        for subset, own in same["subsets"].items()
    ]
    columns = [Column("given", "Given", "given"), *(Column(name, METRICS[name], "share") for name in PAIRED)]
    pairs: dict[str, dict[str, str | float | None]] = {}
    for one in same["differences"]:
        pair = f"{given_name(str(one['subset']))} less {given_name(str(one['baseline']))}"
        name, limits = one["metric"], {"low": one["low"], "high": one["high"]}
        record = pairs.setdefault(pair, {"pair": pair})
        record |= {name: one["difference"], **{f"{name}_{end}": limit for end, limit in limits.items()}}
    heads = [Column("pair", "Difference"), *(Column(name, METRICS[name], "signed", interval=True) for name in PAIRED)]
    size = f"{same['n_cases']} cases of {same['n_patients']} patients"
    return [
        Text([f"On the same patients: the {size} that have every combination below."]),
        Table("same_patients", f"Every combination on the same {size}", columns, values),
        Table("differences", "What a further stain adds, case by case on these patients", heads, list(pairs.values())),
        *_forest(same),
    ]


def _forest(same: dict[str, list[dict[str, str | float | None]]]) -> list[Block]:
    name = PAIRED[0]
    own = [one for one in same["differences"] if one["metric"] == name and None not in (one["low"], one["high"])]
    if not own:
        return []
    rows = [
        Estimate(f"{given_name(str(one['subset']))}\nless {given_name(str(one['baseline']))}",
                 *(float(one[key] or 0) for key in ("difference", "low", "high")))
        for one in own
    ]  # fmt: skip
    title = f"What a further stain adds: difference in {in_sentence(METRICS[name])} on the same patients"
    says = "Diamonds: the 95 % interval keeps off zero. Circles: it does not."
    return [
        Chart(
            "adds",
            f"{title}. {says}",
            svg(forest(rows, x=f"Difference in {in_sentence(METRICS[name])}"), title, says),
            own,
        )
    ]
