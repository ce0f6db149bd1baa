"""Ranges of confidence that predictions are reported by."""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from typing import NamedTuple

import numpy as np

from pathfuse.evaluate.metrics.ranking import auroc
from pathfuse.runs.rows import Rows

BORDERS = (0.75, 0.9)
STRATA = ("low", "medium", "high")


class Layer(NamedTuple):
    """The cases of one range of confidence; `auroc` is the mean over the classes that occur there."""

    name: str
    n: int
    accuracy: float
    auroc: float


def layers(rows: Rows) -> Iterator[Layer]:
    """Every range, from least to most confidence; a value on a border belongs to the upper one."""
    own = np.searchsorted(BORDERS, rows.confidence, side="right")
    for index, name in enumerate(STRATA):
        here = rows.take(np.flatnonzero(own == index))
        right = here.predicted == here.target
        # A stratum seldom holds all classes, and NaN would then be the rule.
        known = [area for area in auroc(here.prob, here.target) if not np.isnan(area)]
        yield Layer(name, len(here), float(right.mean()) if len(here) else nan, float(np.mean(known)) if known else nan)
