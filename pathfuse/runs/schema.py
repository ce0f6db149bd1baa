"""The schema of a run folder: every file that is read again, what it may hold, and how large it may be.

A folder may come from a stranger. `RunFolder` reads through this table, so that nobody behind it asks again whether a
list is one.
"""

from __future__ import annotations

from pathfuse.runs.files import (
    BY_CASE,
    CALIBRATION,
    COHORT,
    COLUMNS,
    CONFIG,
    CURVES,
    EXAMPLES,
    METRICS,
    MODALITIES,
    PANELS,
    RELIABILITY,
    RISK_COVERAGE,
    SPEC,
    SPLITS,
    STAGES,
    VERSIONS,
    WEIGHTS,
)
from pathfuse.runs.shapes import Anything, Columns, Each, Either, Figure, Maybe, Record, Words, named

MIB = 1 << 20
COUNT, FIGURE, TEXT = Figure(count=True), Maybe(Figure()), Words()
_FLOW = Record(
    {"kind": TEXT, "step": TEXT, "cases": COUNT, "patients": COUNT, "unlabelled": Maybe(COUNT)},
    needs=("kind", "step", "cases"),
)
_DIFFERENCE = Record(
    {"subset": TEXT, "baseline": TEXT, "metric": TEXT},
    needs=("subset", "baseline", "metric", "difference", "low", "high"),
    others=FIGURE,
)
_SAME = Record(
    {"n_cases": COUNT, "n_patients": COUNT, "subsets": named(named(FIGURE)), "differences": Each(_DIFFERENCE)},
    needs=("n_cases", "n_patients", "subsets", "differences"),
)
_FITTED = Record(
    {
        **dict.fromkeys(("temperature", "abstention", "sets", "sureness"), Record()),
        **dict.fromkeys(("cases", "patients"), COUNT),
        "confidence": TEXT,
    },
    needs=("temperature", "abstention", "sets", "sureness", "cases", "patients", "confidence"),
)

_COLUMN = Record(
    {"name": TEXT, "kind": TEXT, "mean": Figure(), "deviation": Figure(), "categories": Each(TEXT)},
    needs=("name", "kind", "categories"),
)
_MODALITY = Record(
    {
        **{"name": TEXT, "kind": TEXT, "width": COUNT, "size_px": Maybe(COUNT), "mpp": FIGURE, "patch_um": FIGURE},
        **{"encoder": Maybe(TEXT), "columns": Each(_COLUMN)},
    },
    needs=("name", "kind", "width"),
)
_SPEC = Record(
    {"modalities": Each(_MODALITY), "classes": Each(TEXT), "class_counts": Each(COUNT)},
    needs=("modalities", "classes", "class_counts"),
)
_GROUP, _SET = Maybe(Record()), Figure(finite=False)  # a recipe may name a rate that training stops at
_CLASS = Maybe(Either(Record({"class_path": TEXT, "init_args": Maybe(Record({"lr": Maybe(_SET)}))}), Words()))
_MODEL = Record(
    {**dict.fromkeys(("encoder", "fusion", "head", "objective"), _CLASS), "loss_weights": Maybe(named(_SET))}
)
_SHARED = {
    **{
        "cohort": _GROUP,
        "loading": _GROUP,
        "trainer": _GROUP,
        "seed": Maybe(_SET),
        "data": _CLASS,
        "optimizer": _CLASS,
    },
    **{"steady": Maybe(Record(others=Maybe(_SET))), "model": Maybe(_MODEL)},
}

MAPPINGS: dict[str, Record] = {
    CONFIG: Record({**_SHARED, "stages": Maybe(named(Record(_SHARED)))}),
    SPEC: named(_SPEC),
    VERSIONS: Record(
        {
            **dict.fromkeys(("pathfuse", "torch", "lightning", "python", "run", "checkpoint"), Maybe(TEXT)),
            **dict.fromkeys(("recipe_sha256", "cases_sha256", "split_sha256", "splits_sha256"), Maybe(TEXT)),
            "plugins": named(TEXT),
            "components": named(Each(TEXT)),
            "given": Maybe(Each(TEXT)),
            "trained_on": Maybe(Each(TEXT)),
            "repeat": COUNT,
            "fold": COUNT,
        }
    ),
    STAGES: Record({"complete": Each(TEXT), "kept": named(Record({"epoch": Maybe(COUNT), "by": Maybe(TEXT)}))}),
    METRICS: named(named(FIGURE)),
    MODALITIES: Record({"as_available": Record({"given": named(COUNT)}, others=FIGURE), "same_patients": _SAME}),
    CALIBRATION: Record(
        {"checkpoint": TEXT, "classes": Each(TEXT), "pooled": _FITTED, "subsets": named(_FITTED)},
        needs=("checkpoint", "classes", "pooled", "subsets"),
    ),
    COHORT: Record({"origin": Maybe(TEXT), "data": TEXT, "flow": Each(_FLOW), "notes": Each(TEXT)}),
    WEIGHTS: Record({"weights": Each(named(TEXT))}),
}
"""The recipe, and JSON files; keys that are not named here are for people, and nobody reads them."""

TABLES: dict[str, Columns] = {
    SPLITS: Columns(("case_id", "patient_id", "split", "label")),
    COLUMNS: Columns(("case_id",)),
    RELIABILITY: Columns(
        ("subset", "stage", "class", "n", "confidence", "accuracy"), figures=("n", "confidence", "accuracy")
    ),
    RISK_COVERAGE: Columns(("subset", "score", "coverage", "risk"), figures=("coverage", "risk")),
    f"{EXAMPLES}.csv": Columns(("kind", "case_id", "patient_id", "subset", "target", "predicted", "confidence")),
    f"{CURVES}/": Columns(("epoch",), figures=("epoch",)),
    f"{BY_CASE}/": Columns(("case_id", "patient_id", "target")),
    f"{PANELS}/": Columns(("target", "case_id")),
}
"""CSV files; a name that ends in `/` stands for all in that folder. `predictions.csv` has a reader of its own."""

LARGEST = {**dict.fromkeys(MAPPINGS, 64 * MIB), **dict.fromkeys(TABLES, 256 * MIB), CONFIG: 16 * MIB}
"""Bytes that a file may have; predictions may have as many as any table."""


def table_of(name: str) -> Columns:
    """What a table has to have; nothing where the name is not in the schema."""
    return TABLES.get(name) or TABLES.get(f"{name.partition('/')[0]}/") or Columns()


def largest(name: str) -> int | None:
    """Bytes that a file may have; None where the schema does not say."""
    return LARGEST.get(name) or LARGEST.get(f"{name.partition('/')[0]}/")


def wrong_mapping(name: str, content: object) -> str:
    """What is wrong with the mapping that a file holds, as a sentence without its end; empty where nothing is."""
    return MAPPINGS.get(name, Record(others=Anything())).wrong(content, "")
