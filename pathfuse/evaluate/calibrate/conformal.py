"""Sets of classes that hold the truth with a chosen probability; neighbouring ones where the labels are ordered.

Source: Lu et al. 2022, arXiv:2207.02238 (ordinal adaptive prediction sets), for ordered labels such as HER2 scores;
Romano, Sesia, Candès 2020, arXiv:2006.02544 (adaptive prediction sets, without their random last class), for others.
The calibration is split conformal, Vovk et al. 2005. Holds for patients that are exchangeable with those of the
calibration part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, nan

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv  # type: ignore[import-untyped]

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.temperature import only_validation
from pathfuse.evaluate.metrics.resampling import Interval
from pathfuse.runs.rows import Index, Values

Sets = NDArray[np.bool_]
ROUNDING = 1e-9  # the same sum in another order


@dataclass(frozen=True)
class PredictionSets:
    """Sets that always hold the most probable class; intervals of classes where these are ordered.

    Attributes:
        mass: a set grows as long as it holds no more probability than this; infinite takes all classes.
        miss: share of patients whose truth may lie outside.
        patients: calibration patients.
        ordered: whether a set may only take in neighbours of the classes that it holds.
    """

    mass: float
    miss: float
    patients: int
    ordered: bool = True

    @classmethod
    def fit(
        cls,
        prob: Values,
        target: Index,
        patients: Sequence[str],
        parts: Sequence[str],
        *,
        miss: float = 0.1,
        ordered: bool = True,
    ) -> PredictionSets:
        """Calibrates on validation patients.

        A patient with several cases counts once, with the case that needs the widest set, so that the promise is
        about patients: all cases of a patient are covered with probability 1 - miss.

        Args:
            prob: (N, C).
            target: (N,).
            patients: the patient of every case.
            parts: the part of every case.
            miss: share of patients that may be missed.
            ordered: whether the classes have an order that sets must keep.

        Raises:
            RunError: if a case is not of the validation part, there is none, or `miss` is no share.
        """
        only_validation(parts, "The size of prediction sets")
        if not 0 < miss < 1:
            raise RunError(f"prediction sets that miss {miss:g} of the patients: choose a share between 0 and 1.")
        owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1]
        needed = np.zeros(int(owner.max()) + 1)
        np.maximum.at(needed, owner, needed_mass(prob, target, ordered=ordered))
        rank = ceil((len(needed) + 1) * (1 - miss) - ROUNDING)
        # Too few patients to promise anything: the set of all classes is the honest answer.
        mass = float(np.sort(needed)[rank - 1]) if rank <= len(needed) else inf
        return cls(mass, miss, len(needed), ordered)

    def __call__(self, prob: Values) -> Sets:
        """(N, C) bool, the classes of each case's set."""
        return grown_sets(prob, self.mass, ordered=self.ordered)


def grown_sets(prob: Values, mass: float, *, ordered: bool = True) -> Sets:
    """Starts at the most probable class and takes in the next until the set holds more than the mass.

    The next is the more probable neighbour where classes are ordered, and else the most probable class that is left.
    """
    order, before = _growth(prob, ordered)  # (N, C)
    sets = np.zeros(prob.shape, dtype=bool)
    np.put_along_axis(sets, order, before <= mass + ROUNDING, axis=1)
    return sets


def needed_mass(prob: Values, target: Index, *, ordered: bool = True) -> Values:
    """(N,) the least mass whose set holds the truth; 0 where the truth is the most probable class."""
    order, before = _growth(prob, ordered)
    place = (order == target[:, None]).argmax(1)
    return np.asarray(before[np.arange(len(target)), place])


def _growth(prob: Values, ordered: bool) -> tuple[Index, Values]:
    """The classes in the order in which sets take them in, and the mass held before each."""
    order = _by_neighbour(prob) if ordered else np.argsort(-prob, axis=1, kind="stable")
    taken = np.take_along_axis(prob, order, axis=1)
    before = np.cumsum(np.concatenate([np.zeros((len(prob), 1)), taken[:, :-1]], axis=1), axis=1)
    return order, before


def _by_neighbour(prob: Values) -> Index:
    n, classes = prob.shape
    rows = np.arange(n)
    low = high = prob.argmax(1)
    order = np.empty((n, classes), dtype=np.int64)
    order[:, 0] = low
    padded = np.concatenate([np.full((n, 1), -1.0), prob, np.full((n, 1), -1.0)], axis=1)
    for step in range(1, classes):
        below, above = padded[rows, low], padded[rows, high + 2]
        down = below >= above  # towards the lower score where both neighbours are equal
        low, high = np.where(down, low - 1, low), np.where(down, high, high + 1)
        order[:, step] = np.where(down, low, high)
    return order


@dataclass(frozen=True)
class Coverage:
    """How prediction sets do on cases that chose nothing.

    Attributes:
        covered: share of the patients whose cases all lie in their sets.
        interval: 95 % limits of it (Clopper and Pearson).
        size: mean number of classes in a set.
        by_class: share of the cases of each class that lie in their sets; NaN for an absent class.
    """

    covered: float
    interval: Interval
    size: float
    by_class: tuple[float, ...]


def measured_coverage(sets: Sets, target: Index, patients: Sequence[str]) -> Coverage:
    """The coverage on test cases; NaN without a case."""
    if not len(target):
        return Coverage(nan, Interval(nan, nan), nan, (nan,) * sets.shape[1])
    inside = sets[np.arange(len(target)), target]
    owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1]
    whole = np.ones(int(owner.max()) + 1, dtype=bool)
    np.logical_and.at(whole, owner, inside)
    hits, n = int(whole.sum()), len(whole)
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    per_class = [inside[target == c] for c in range(sets.shape[1])]
    shares = tuple(float(own.mean()) if len(own) else nan for own in per_class)
    return Coverage(hits / n, Interval(low, high), float(sets.sum(1).mean()), shares)
