"""Do the probabilities mean what they say? Calibration errors, reliability diagrams, and one number that repairs most.

Probabilities are (N, C), targets (N,) class indices; every case is labelled. Nothing here looks at a test part to
choose anything: what is fitted says on which part it may be fitted and refuses others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import logsumexp  # type: ignore[import-untyped]

from pathfuse.errors import RunError
from pathfuse.runs.rows import FLOOR, Index, Values

BINS = 15
Binning = Literal["width", "mass"]


class Bin(NamedTuple):
    """The cases whose probability lies between `low` and `high`; `confidence` and `accuracy` are their means."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(probability: Values, happened: Index, *, bins: int = BINS, binning: Binning = "width") -> list[Bin]:
    """The points of a reliability diagram; empty bins are left out.

    Args:
        probability: (N,) of the event.
        happened: (N,) 0 or 1.
        bins: how many at most.
        binning: `width` cuts 0 to 1 in equal pieces, `mass` gives every bin about as many cases.
    """
    if not len(probability):
        return []
    edges = _edges(probability, bins, binning)
    # A bin holds its upper edge, the first one also its lower.
    own = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, len(edges) - 2)
    size = np.bincount(own, minlength=len(edges) - 1)
    means = [
        np.bincount(own, weights=v, minlength=len(edges) - 1) / np.maximum(size, 1) for v in (probability, happened)
    ]
    return [
        Bin(float(edges[k]), float(edges[k + 1]), int(size[k]), float(means[0][k]), float(means[1][k]))
        for k in np.flatnonzero(size)
    ]


def calibration_error(probability: Values, happened: Index, *, bins: int = BINS, binning: Binning = "width") -> float:
    """The mean distance between what was said and what happened, weighted by cases; NaN without a case."""
    found = reliability(probability, happened, bins=bins, binning=binning)
    total = sum(one.n for one in found)
    return sum(one.n * abs(one.confidence - one.accuracy) for one in found) / total if total else float("nan")


def expected_calibration_error(prob: Values, target: Index, *, bins: int = BINS) -> float:
    """ECE: the calibration error of the highest probability in bins of equal width.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    return calibration_error(*_top(prob, target), bins=bins)


def adaptive_calibration_error(prob: Values, target: Index, *, bins: int = BINS) -> float:
    """ECE in bins of equal size, which few confident cases cannot hide in.

    Source: Nguyen & O'Connor 2015, arXiv:1508.05154.
    """
    return calibration_error(*_top(prob, target), bins=bins, binning="mass")


def classwise_calibration_error(prob: Values, target: Index, *, bins: int = BINS) -> list[float]:
    """Per class, the calibration error of its probability.

    Source: Kull et al. 2019, arXiv:1910.12656, eq. 4, before the mean over classes.
    """
    return [calibration_error(prob[:, c], (target == c).astype(np.int64), bins=bins) for c in range(prob.shape[1])]


def brier(prob: Values, target: Index) -> float:
    """Mean squared distance from the truth, summed over classes: 0 is perfect, 2 the worst; NaN without a case."""
    return float(((prob - np.eye(prob.shape[1])[target]) ** 2).sum(1).mean()) if len(target) else float("nan")


def log_loss(prob: Values, target: Index) -> float:
    """Mean negative log probability of the truth; NaN without a case."""
    return (
        float(-np.log(np.clip(prob[np.arange(len(target)), target], FLOOR, 1)).mean()) if len(target) else float("nan")
    )


def calibration_metrics(prob: Values, target: Index) -> dict[str, float]:
    """The errors by the names that `metrics.json` uses."""
    return {
        "ece": expected_calibration_error(prob, target),
        "ece_adaptive": adaptive_calibration_error(prob, target),
        "brier": brier(prob, target),
        "log_loss": log_loss(prob, target),
    }


def reliability_by_class(prob: Values, target: Index, classes: Sequence[str], *, bins: int = 10) -> list[list[Bin]]:
    """The diagram of the highest probability, followed by that of each class."""
    single = [reliability(prob[:, c], (target == c).astype(np.int64), bins=bins) for c in range(len(classes))]
    return [reliability(*_top(prob, target), bins=bins), *single]


@dataclass(frozen=True)
class Temperature:
    """One number that divides all logits: above 1 the model becomes less sure, and no prediction changes.

    Attributes:
        value: the temperature.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """

    value: float

    @classmethod
    def fit(cls, prob: Values, target: Index, parts: Sequence[str]) -> Temperature:
        """The temperature of least log loss on validation cases; 1 where all of them are right.

        Args:
            prob: (N, C).
            target: (N,).
            parts: the part of every case.

        Raises:
            RunError: if a case is not of the validation part, or there is none.
        """
        only_validation(parts, "A temperature")
        # Without an error the loss falls without end as the temperature does: nothing here says how sure is too sure.
        if (prob.argmax(1) == target).all():
            return cls(1.0)
        logs = np.log(np.clip(prob, FLOOR, 1))
        rows = np.arange(len(target))

        def loss(log_temperature: float) -> float:
            scaled = logs * exp(-log_temperature)
            return float((logsumexp(scaled, axis=1) - scaled[rows, target]).mean())

        found = minimize_scalar(loss, bounds=(log(0.05), log(20)), method="bounded", options={"xatol": 1e-6})
        return cls(exp(float(found.x)))

    def __call__(self, prob: Values) -> Values:
        """The probabilities (N, C) at this temperature."""
        scaled = np.log(np.clip(prob, FLOOR, 1)) / self.value
        return np.asarray(np.exp(scaled - logsumexp(scaled, axis=1, keepdims=True)))


def only_validation(parts: Sequence[str], what: str) -> None:
    """Refuses to choose anything on cases that are trained on or reported.

    Raises:
        RunError: naming the part.
    """
    others = sorted(set(parts) - {"val"})
    if others or not parts:
        found = f"cases of {', '.join(part or 'no part' for part in others)}" if others else "no case"
        raise RunError(f"{what} is chosen on the validation part alone, but got {found}. Pass only cases of val.")


def _top(prob: Values, target: Index) -> tuple[Values, Index]:
    return prob.max(1), (prob.argmax(1) == target).astype(np.int64)


def _edges(probability: Values, bins: int, binning: Binning) -> Values:
    if binning == "width":
        return np.linspace(0, 1, bins + 1)
    inner = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))
