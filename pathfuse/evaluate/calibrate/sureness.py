"""A confidence that means a share: two numbers, so that its mean follows accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit  # type: ignore[import-untyped]

from pathfuse.evaluate.calibrate.temperature import only_validation
from pathfuse.runs.rows import FLOOR, Values

PRIOR = 1e-2
STEPS = 50


@dataclass(frozen=True)
class Sureness:
    """A logistic curve from the confidence of a model to how often it is right; no order of cases changes.

    Attributes:
        slope: by which the log odds of the confidence are multiplied; 0 where it says nothing.
        shift: what is added to them.

    Source: Platt 1999, for scores of a classifier.
    Departs: the slope is drawn towards 1, as if a hundredth of a case said so, and is never negative.
    """

    slope: float
    shift: float

    @classmethod
    def fit(cls, confidence: Values, right: Values, parts: Sequence[str]) -> Sureness:
        """The most likely curve; on the cases it is fitted on, the mean is their accuracy.

        Args:
            confidence: (N,) in [0, 1].
            right: (N,) 1 for a right prediction, else 0.
            parts: the part of every case.

        Raises:
            RunError: if a case is not of the validation part, or there is none.
        """
        only_validation(parts, "A confidence")
        # Without both kinds no curve is the most likely one.
        if right.min() == right.max():
            return cls(1.0, 0.0)
        odds = _log_odds(confidence)
        slope, shift = _likeliest(odds, right)
        return cls(slope, shift) if slope > 0 else cls(0.0, float(logit(right.mean())))

    def __call__(self, confidence: Values) -> Values:
        """The confidence (N,) that it becomes."""
        return np.asarray(expit(self.slope * _log_odds(confidence) + self.shift))


def _log_odds(confidence: Values) -> Values:
    return np.asarray(logit(np.clip(np.asarray(confidence, dtype=np.float64), FLOOR, 1 - FLOOR)))


def _likeliest(odds: Values, right: Values) -> tuple[float, float]:
    """Newton's steps, halved while they do not lead downwards."""
    design = np.stack([odds, np.ones_like(odds)], axis=1)  # (N, 2)

    def loss(at: Values) -> float:
        z = design @ at
        return float((np.logaddexp(0, z) - right * z).sum() + PRIOR / 2 * (at[0] - 1) ** 2)

    at = np.array([1.0, 0.0])
    for _ in range(STEPS):
        mean = expit(design @ at)
        slope = design.T @ (mean - right) + PRIOR * np.array([at[0] - 1, 0.0])
        bend = (design * (mean * (1 - mean))[:, None]).T @ design + np.diag([PRIOR, 1e-9])
        step = np.linalg.solve(bend, slope)
        while loss(at - step) > loss(at) and np.abs(step).max() > 1e-9:
            step = step / 2
        at = at - step
        if np.abs(step).max() < 1e-9:
            break
    return float(at[0]), float(at[1])
