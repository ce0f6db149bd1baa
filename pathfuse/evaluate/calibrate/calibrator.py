"""A calibrator: calibrated probabilities, a set of scores and a rule of abstaining, chosen on validation alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isinf, isnan, nan
from typing import Any, Literal

import numpy as np

from pathfuse.errors import RunError
from pathfuse.evaluate.calibrate.abstention import Abstention, Mask, confidences
from pathfuse.evaluate.calibrate.conformal import PredictionSets, Sets
from pathfuse.evaluate.calibrate.sureness import Sureness
from pathfuse.evaluate.calibrate.temperature import Temperature
from pathfuse.runs.rows import Index, Values

Confidence = Literal["softmax", "learned", "combined"]
SEPARATOR = "|"


@dataclass(frozen=True)
class Calibrated:
    """N cases after calibration.

    Attributes:
        prob: (N, C) calibrated distribution.
        confidence: (N,) what decides on abstaining.
        sure: (N,) how often such a prediction is right: the learned confidence, or else the highest probability.
        abstain: (N,) bool.
        sets: (N, C) bool, classes of the prediction set.
    """

    prob: Values
    confidence: Values
    sure: Values
    abstain: Mask
    sets: Sets

    def set_names(self, classes: Sequence[str]) -> list[str]:
        """Per case, its set as text, such as `1+|2+`."""
        return [SEPARATOR.join(name for name, own in zip(classes, row, strict=True) if own) for row in self.sets]


@dataclass(frozen=True)
class Calibrator:
    """Everything that is chosen on the validation part, as one object that is saved beside the run.

    Attributes:
        temperature: of the probabilities.
        sureness: of the learned confidence, or else of the highest probability.
        confidence: which confidence decides.
        abstention: below which confidence a case is left to a person.
        sets: the prediction sets.
    """

    temperature: Temperature
    sureness: Sureness
    confidence: Confidence
    abstention: Abstention
    sets: PredictionSets

    @classmethod
    def fit(
        cls,
        prob: Values,
        target: Index,
        learned: Values | None,
        patients: Sequence[str],
        parts: Sequence[str],
        *,
        target_risk: float = 0.1,
        certainty: float | None = None,
        miss: float = 0.1,
        ordered: bool = True,
        confidence: Confidence = "softmax",
    ) -> Calibrator:
        """Chooses temperature, threshold and set size on validation cases.

        Args:
            prob: (N, C).
            target: (N,).
            learned: (N,) learned confidence, or None.
            patients: the patient of every case.
            parts: the part of every case; anything but `val` is refused.
            target_risk: acceptable share of errors among cases that are not abstained from.
            certainty: None compares the observed risk, 0.95 its upper limit.
            miss: share of patients whose truth may lie outside their set.
            ordered: whether the classes have an order that sets must keep.
            confidence: what decides on abstaining.

        Raises:
            RunError: if a case is not of the validation part, or the run has not learned the confidence asked for.
        """
        temperature = Temperature.fit(prob, target, parts)
        scaled = temperature(prob)
        wrong = (prob.argmax(1) != target).astype(np.float64)
        sure = _chosen(scaled, learned, confidence)
        abstention = Abstention.choose(sure, wrong, parts, target_risk=target_risk, certainty=certainty)
        sets = PredictionSets.fit(scaled, target, patients, parts, miss=miss, ordered=ordered)
        sureness = Sureness.fit(prob.max(1) if learned is None else learned, 1 - wrong, parts)
        return cls(temperature, sureness, confidence, abstention, sets)

    def __call__(self, prob: Values, learned: Values | None = None) -> Calibrated:
        """The calibrated form of predictions of the same model."""
        scaled = self.temperature(prob)
        sure = _chosen(scaled, learned, self.confidence)
        own = self.sureness(prob.max(1) if learned is None else learned)
        return Calibrated(scaled, sure, own, self.abstention(sure), self.sets(scaled))

    def plain(self) -> dict[str, Any]:
        """What `calibration.json` holds of it; what is infinite or not defined is None."""
        return {key: _without_infinity(value) for key, value in asdict(self).items()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Calibrator:
        """The inverse of `plain`."""
        keeps, sets = dict(plain["abstention"]), dict(plain["sets"])
        keeps |= {"threshold": _or(keeps["threshold"], inf), "validation_risk": _or(keeps["validation_risk"], nan)}
        sets["mass"] = _or(sets["mass"], inf)
        temperature = Temperature(**plain["temperature"])
        sureness = Sureness(**plain["sureness"])
        return cls(temperature, sureness, plain["confidence"], Abstention(**keeps), PredictionSets(**sets))


def _chosen(prob: Values, learned: Values | None, confidence: Confidence) -> Values:
    own = confidences(prob, learned)
    if confidence not in own:
        raise RunError(
            f"This run learned no confidence, so it cannot abstain by {confidence!r}. Choose softmax, or train with "
            "ConfidenceHead."
        )
    return own[confidence]


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _without_infinity(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {key: _without_infinity(one) for key, one in value.items()}
    return None if isinstance(value, float) and (isinf(value) or isnan(value)) else value
