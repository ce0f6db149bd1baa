"""A class that a model calls too often: one sentence, which a table of averages hides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pathfuse.runs.rows import Rows

MOST = 0.5  # share of the cases that is called one class
BEYOND = 0.2  # by which it exceeds the share of the cases that are
FEWEST = 10  # cases, below which a share says nothing


def called_too_often(rows: Rows, classes: Sequence[str]) -> str:
    """Says that a model calls most cases one class, far more than there are; empty where it does not.

    Args:
        rows: labelled cases.
        classes: class names.
    """
    if len(rows) < FEWEST or len(np.unique(rows.target)) < 2:
        return ""
    said, true = (np.bincount(own, minlength=len(classes)) / len(rows) for own in (rows.predicted, rows.target))
    index = int(said.argmax())
    if said[index] < MOST or (said[index] - true[index] < BEYOND and said[index] < 1):
        return ""
    share = "every case" if said[index] == 1 else f"{said[index]:.0%} of cases"
    return f"The model calls {share} {classes[index]}; {true[index]:.0%} are."
