"""Provenance of a run: versions, hashes, weights with their licences, the recipe, the papers behind it."""

from __future__ import annotations

from pathfuse.report.page import Block, Column, Facts, Raw, Record, Section, Source, Table, Text, missing
from pathfuse.report.run.methods import Paper, papers
from pathfuse.report.run.terms import terms_of_use
from pathfuse.runs.files import CONFIG, METRICS, PREDICTIONS, WEIGHTS
from pathfuse.runs.folder import RunFolder

HASHES = {
    "recipe_sha256": "Recipe (SHA-256)",
    "cases_sha256": "Cases (SHA-256)",
    "split_sha256": "Parts (SHA-256)",
    "splits_sha256": "File of folds (SHA-256)",
}
RESULTS = {PREDICTIONS: "Predictions (SHA-256)", METRICS: "Metrics (SHA-256)"}


def weights_section(run: RunFolder) -> Section:
    """The weights that training began with, and under which licence they are."""
    found = run.json(WEIGHTS).get("weights") or []
    records: list[Record] = [
        {key: str(one.get(key, "")) for key in ("stage", "component", "network", "weights", "licence")} for one in found
    ]
    if not records:
        return Section(
            "weights", "Weights and licences", [missing("The folder has no weights.json: nothing is known.")]
        )
    columns = [Column("component", "Component"), Column("stage", "Stage"), Column("network", "Network")]
    columns += [Column("weights", "Began with"), Column("licence", "Licence")]
    blocks: list[Block] = [Table("weights", "Weights that training began with", columns, records)]
    blocks += [Text([line]) for line in terms_of_use(found)]
    return Section("weights", "Weights and licences", blocks)


def provenance_section(run: RunFolder) -> Section:
    """Versions, hashes, papers and the whole recipe."""
    versions = run.versions
    blocks: list[Block] = []
    if versions:
        blocks.append(_versions(run))
    else:
        blocks.append(missing("The folder has no versions.json."))
    cited = papers(run.config)
    if cited:
        blocks.append(Text(["The components of this run implement:"]))
        blocks.append(Text([_cited(paper) for paper in cited], points=True))
    if run.config:
        blocks.append(Source("The whole recipe, resolved", run.text(CONFIG)))
    return Section("provenance", "Provenance", blocks)


def _versions(run: RunFolder) -> Facts:
    own = run.versions
    columns, record = [], dict[str, Raw]()
    for key in ("pathfuse", "torch", "lightning", "python"):
        if key in own:
            columns.append(Column(key, key))
            record[key] = str(own[key])
    for name, version in own.get("plugins", {}).items():
        if name not in record:
            columns.append(Column(name, f"plug-in {name}"))
            record[name] = version
    for key, head in HASHES.items():
        if own.get(key):
            columns.append(Column(key, head))
            record[key] = str(own[key])
    for name, head in RESULTS.items():
        if run.has(name):
            columns.append(Column(f"{name}_sha256", head))
            record[f"{name}_sha256"] = run.sha256(name)
    return Facts("versions", columns, record)


def _cited(paper: Paper) -> str:
    return f"{paper.component}: {paper.source}"
