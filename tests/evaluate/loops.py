"""What the tests hold vectorised statistics to: the same, drawn patient by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def patient_interval(
    metric: Callable[[NDArray[np.int64]], float], patients: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    rows = [np.flatnonzero(owner == index) for index in range(len(names))]
    drawn = np.random.default_rng(seed).integers(0, len(rows), size=(draws, len(rows)))
    values = [metric(np.concatenate([rows[index] for index in draw])) for draw in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
