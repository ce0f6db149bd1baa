"""Keys of recipes that have another name now; the old one is an error that says the new one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_COHORT = (
    "stores", "groups", "label_map", "classes", "missing", "mpp", "split", "repeat", "fold",
    "val_fraction", "test_fraction", "test_on", "cache",
)  # fmt: skip
_WHO = ("patients", "extra_stains", "missing", "val_fraction", "test_fraction", "sites", "site_effect", "seed")
_PICTURES = (
    "cases_per_patient", "size_px", "mpp", "shift_px", "rotation_deg", "slide_px", "slides", "grid", "patch_px",
    "tumour",
)  # fmt: skip

RENAMED = {
    "data.root": "cohort.cases",
    "data.cases": "cohort.cases",
    "data.labels_table": "cohort.cases",
    "data.splits": "cohort.folds",
    **{f"data.{name}": f"cohort.{name}" for name in _COHORT},
    "data.label_column": "--label COLUMN, or cohort.columns '{label: COLUMN}'",
    "cohort.label_column": "--label COLUMN, or cohort.columns '{label: COLUMN}'",
    "data.batch_size": "loading.batch_size",
    "data.num_workers": "loading.num_workers",
    "data.sampler": "loading.sampler",
    "data.seed": "loading.seed (order, draws, augmentation) or cohort.seed (drawn parts)",
    "data.demo.labelled": "cohort.demo.labelled_patients",
    **{f"data.demo.{name}": f"cohort.demo.{name}" for name in _WHO},
    **{f"data.demo.{name}": f"data.pictures.{name}" for name in _PICTURES},
    "data.cut.size_px": "data.cut.patch_px",
    "data.demo": "cohort.demo (patients) and data.pictures (what is drawn of them)",
}

GONE = {
    "data.labels": "whether labels are needed is asked of the head and the objective; remove it",
}


def new_names(config: Mapping[str, Any], words: Iterable[str], refused: str) -> str:
    """A sentence for each old key of `data` or `cohort` that a stage says and that is not there any more.

    Another data module may have an option of that name, so only what was refused is looked up.

    Args:
        config: of the stage.
        words: command-line words on top of it.
        refused: what the parser found wrong.
    """
    said = [
        key for word in words if (key := word.removeprefix("--").partition("=")[0]).startswith(("data.", "cohort."))
    ]
    data = config.get("data")
    options = data.get("init_args") if isinstance(data, Mapping) else None
    keys = [
        *_dotted("data", options),
        *_dotted("cohort", config.get("cohort")),
        *(key.replace("init_args.", "") for key in said),
    ]
    old = [key for key in dict.fromkeys(keys) if key in RENAMED or key in GONE]
    return "".join(
        f" {key} is now {RENAMED[key]}." if key in RENAMED else f" {key} is gone: {GONE[key]}."
        for key in old
        if any(re.search(rf"\b{part}\b", refused) for part in key.split(".")[1:])
    )


def _dotted(prefix: str, options: object) -> Iterator[str]:
    """Every key of nested mappings, the outer ones too."""
    for name, value in options.items() if isinstance(options, Mapping) else ():
        yield f"{prefix}.{name}"
        yield from _dotted(f"{prefix}.{name}", value)
