"""Options of a cohort that belong to its own cases, and what they become for new ones."""

from __future__ import annotations

from collections.abc import Sequence

OWN = ("cases", "stores", "vectors", "groups", "folds", "labelled_patients", "shuffled")
"""Options about the cases that a model was trained on; new ones bring their own."""


def for_new_cases(given: Sequence[str], classes: Sequence[str]) -> dict[str, object]:
    """What the options of a cohort become where other cases are given.

    New cases may lack stains, all of them are new to the model, and their classes are the model's.

    Args:
        given: the options that are said anew, which stay as they are said.
        classes: those of the model.
    """
    kept: dict[str, object] = {
        "missing": "allow",
        "test_on": "all",
        "header": "first",
        "repeat": 0,
        "fold": 0,
        "classes": list(classes),
    }
    return {name: value for name, value in {**dict.fromkeys(OWN), **kept}.items() if name not in given}
