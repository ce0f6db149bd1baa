"""Abstention: risk against coverage, and the threshold that is chosen on the validation part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv  # type: ignore[import-untyped]

from pathfuse.evaluate.calibrate.temperature import only_validation
from pathfuse.runs.rows import Index, Values

Mask = NDArray[np.bool_]
TRIED = 10  # coverages at which an upper limit is tried; the certainty is shared out over them


@dataclass(frozen=True)
class RiskCoverage:
    """The share of errors among the cases that are kept, for every threshold of confidence.

    Attributes:
        threshold: (K,) falling; cases of at least this confidence are kept.
        coverage: (K,) share of the cases that is kept.
        risk: (K,) mean loss of the kept cases.
        aurc: the area under the curve, as the mean risk while cases are taken one after the other; NaN without a case.
    """

    threshold: Values
    coverage: Values
    risk: Values
    aurc: float


def risk_coverage(confidence: Values, loss: Values) -> RiskCoverage:
    """The curve.

    Args:
        confidence: (N,) any scale.
        loss: (N,) of every case: 1 for wrong and 0 for right, or a cost.

    Source: Geifman & El-Yaniv 2017, arXiv:1705.08500; the area as in Geifman et al. 2019, arXiv:1805.08206.
    Departs: cases of equal confidence are taken in random order, of which the area is the expectation.
    """
    order = np.argsort(-confidence, kind="stable")
    falling, ordered = confidence[order], loss[order]
    last = np.flatnonzero(np.diff(falling, append=-inf))  # a threshold keeps all cases that tie
    kept, total = last + 1, np.cumsum(ordered)[last]
    size = np.diff(kept, prepend=0)
    expected = np.repeat(np.diff(total, prepend=0.0) / size, size)
    return RiskCoverage(falling[last], kept / max(len(loss), 1), total / kept, _mean_of_means(expected))


def excess_aurc(confidence: Values, loss: Values) -> float:
    """The area above that of the best possible order, which takes all errors last."""
    return risk_coverage(confidence, loss).aurc - _mean_of_means(np.sort(loss))


def combined_confidence(prob: Values, learned: Values) -> Values:
    """(N,) geometric mean of the highest probability and the learned confidence: both must be high."""
    return np.asarray(np.sqrt(prob.max(1) * learned))


def confidences(prob: Values, learned: Values | None) -> dict[str, Values]:
    """The confidences that can be compared: `softmax`, and where one was learned `learned` and `combined`."""
    own = {"softmax": np.asarray(prob.max(1))}
    return own if learned is None else {**own, "learned": learned, "combined": combined_confidence(prob, learned)}


def abstention_metrics(prob: Values, learned: Values | None, target: Index) -> dict[str, float]:
    """The area and the excess area of every confidence, by the names that `metrics.json` uses."""
    wrong = (prob.argmax(1) != target).astype(np.float64)
    own = confidences(prob, learned)
    return {
        f"{name}_{kind}": score(confidence, wrong)
        for kind, confidence in own.items()
        for name, score in (("aurc", lambda c, w: risk_coverage(c, w).aurc), ("excess_aurc", excess_aurc))
    }


@dataclass(frozen=True)
class Abstention:
    """Abstains below a threshold of confidence.

    Attributes:
        threshold: cases of at least this confidence are kept; infinite keeps none.
        target_risk: the share of errors among kept cases that was asked for.
        validation_risk: what was reached on validation; NaN if none are kept.
        validation_coverage: share of the validation cases that is kept.
    """

    threshold: float
    target_risk: float
    validation_risk: float
    validation_coverage: float

    @classmethod
    def choose(
        cls,
        confidence: Values,
        wrong: Values,
        parts: Sequence[str],
        *,
        target_risk: float,
        certainty: float | None = None,
    ) -> Abstention:
        """The threshold that keeps most validation cases at the target risk.

        Args:
            confidence: (N,).
            wrong: (N,) 1 for a wrong prediction, else 0.
            parts: the part of every case.
            target_risk: share of errors among kept cases that is acceptable.
            certainty: None compares the observed risk; a value such as 0.95 its upper limit, which needs more cases.

        Raises:
            RunError: if a case is not of the validation part, or there is none.
        """
        only_validation(parts, "An abstention threshold")
        curve = risk_coverage(confidence, wrong)
        risk = curve.risk if certainty is None else _upper_limit(curve, len(confidence), certainty)
        good = np.flatnonzero(risk <= target_risk + 1e-12)
        if not len(good):
            return cls(inf, target_risk, nan, 0.0)
        last = good[-1]
        return cls(float(curve.threshold[last]), target_risk, float(curve.risk[last]), float(curve.coverage[last]))

    def __call__(self, confidence: Values) -> Mask:
        """(N,) bool, which cases are left to a person."""
        return np.asarray(confidence < self.threshold)


def _mean_of_means(loss: Values) -> float:
    return float((np.cumsum(loss) / np.arange(1, len(loss) + 1)).mean()) if len(loss) else nan


def _upper_limit(curve: RiskCoverage, cases: int, certainty: float) -> Values:
    """Clopper and Pearson's one-sided limit, shared out over the thresholds that are tried; infinite at the others."""
    steps = np.linspace(1 / TRIED, 1, TRIED)
    tried = np.unique(np.searchsorted(curve.coverage, steps - 1e-12).clip(max=len(curve.coverage) - 1))
    kept = np.round(curve.coverage[tried] * cases)
    errors = np.round(curve.risk[tried] * kept)
    limit = np.full(len(curve.risk), inf)
    level = 1 - (1 - certainty) / TRIED
    limit[tried] = np.where(errors < kept, betaincinv(errors + 1, np.maximum(kept - errors, 1), level), 1.0)
    return limit
