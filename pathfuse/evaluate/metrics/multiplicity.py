"""Several tests at once: p-values that keep their meaning for the whole family."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value adjusted for all of them, in the given order; NaN is no test and stays NaN.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    tests = sorted((p, position) for position, p in enumerate(p_values) if not isnan(p))
    adjusted = list(p_values)
    worst = 0.0
    for done, (p, position) in enumerate(tests):
        worst = max(worst, min(1.0, (len(tests) - done) * p))
        adjusted[position] = worst
    return adjusted
