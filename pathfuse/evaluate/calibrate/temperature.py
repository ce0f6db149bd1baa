"""One number that repairs most of what probabilities get wrong, and the refusal to choose anything on a test part.

Probabilities are (N, C), targets (N,) class indices; every case is labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from scipy.special import logsumexp  # type: ignore[import-untyped]

from pathfuse.errors import RunError
from pathfuse.runs.rows import FLOOR, Index, Values


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

        from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]  # only where a temperature is fitted

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
