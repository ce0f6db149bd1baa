"""Keys of recipes that have another name now; the old one is an error that says the new one."""

from __future__ import annotations

_COHORT = (
    "stores", "groups", "label_column", "label_map", "classes", "missing", "mpp", "split", "repeat", "fold",
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
    "data.batch_size": "loading.batch_size",
    "data.num_workers": "loading.num_workers",
    "data.sampler": "loading.sampler",
    "data.seed": "loading.seed (order, draws, augmentation) or cohort.seed (drawn parts)",
    "data.demo.labelled": "cohort.demo.labelled_patients",
    **{f"data.demo.{name}": f"cohort.demo.{name}" for name in _WHO},
    **{f"data.demo.{name}": f"data.pictures.{name}" for name in _PICTURES},
    "data.demo": "cohort.demo (patients) and data.pictures (what is drawn of them)",
}

GONE = {
    "data.labels": "whether labels are needed is asked of the head and the objective; remove it",
}


def new_name(key: str) -> str:
    """Half a line that says what became of a key; empty if it never had another name.

    Args:
        key: dotted, from `data` on; `init_args` is left out.
    """
    if key in RENAMED:
        return f" {key} is now {RENAMED[key]}."
    return f" {key} is gone: {GONE[key]}." if key in GONE else ""
