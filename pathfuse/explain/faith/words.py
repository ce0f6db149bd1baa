"""One sentence per explainer and stain about how far its map can be believed, chosen by stated rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pathfuse.evaluate.names import stain_name
from pathfuse.explain.stains import HARDLY

FEWEST = 5
"""Patients below which an interval says nothing."""
UNTRAINED = 0.5
"""Correlation with the map of a mixed-up model from which a map is said to owe little to the training."""

MEASURES = {
    "insertion": "probability of the class while the highest places come first; high is good",
    "deletion": "the same while the highest places go first; low is good",
    "insertion gain": "insertion less that of a random map; above 0 is better than chance",
    "sparsity": "0 is a map that is the same everywhere, near 1 is one where few places have all; neither is better",
    "untrained": "correlation with the map of the same model with its weights mixed up; near 1 the map owes nothing to "
    "the training",
    "agreement with NAME": "correlation with the map of another explainer; where it is low, at least one is wrong",
    "infidelity": "how badly the map foretells the logit under noise; low is good",
    "sensitivity": "how far a little noise moves the map; low is good",
    "AUC against the truth": "whether places with the signal rank above the others; 0.5 is chance",
    "pointing game": "share of cases whose highest place has the signal",
    "IoU with the truth": "how far the highest places and those with the signal are the same; 1 is all of them",
    "Drop in Accuracy": "fall of the accuracy where only the places of the map are shown; low is good",
}
"""What the page says about every measure."""


@dataclass(frozen=True)
class Interval:
    """A mean over cases with its interval over so many patients."""

    value: float
    low: float
    high: float
    patients: int

    @property
    def above_zero(self) -> bool:
        """Whether all of it is above zero."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether all of it is below zero."""
        return self.high < 0


def sentence(explainer: str, modality: str, found: Mapping[str, Interval], share: float | None) -> str:
    """What the figures say, by these rules, of which the later ones add to the first.

    0. Fewer than `FEWEST` patients are said to be too few, and nothing else is.
    1. The gain over a random map is `insertion gain`: all of its interval below 0 is "worse than a random map", an
       interval with 0 in it is "no better than a random map", and all of it above 0 "better than a random map".
    2. A mean correlation of `UNTRAINED` or more with the map of the mixed-up model adds that it owes little to
       training.
    3. Where the truth is known, the interval of the AUC minus 0.5 adds "where the signal is", "away from where", or
       that this cannot be told.
    4. A mean share of the stain below `HARDLY` adds that the stain is hardly used.

    Args:
        explainer: its name.
        modality: the stain.
        found: `insertion gain`, and where they were measured `untrained` and `truth gain`.
        share: mean share of the stain; None where it is not known.
    """
    gain = found["insertion gain"]
    if gain.patients < FEWEST:
        return f"{explainer} in {stain_name(modality)}: {gain.patients} patients are too few to tell."
    word = "better than" if gain.above_zero else "worse than" if gain.below_zero else "no better than"
    parts = [f"{explainer} in {stain_name(modality)} is {word} a random map"]
    if "untrained" in found and found["untrained"].value >= UNTRAINED:
        parts.append("it shows much the same of a model with mixed-up weights")
    if "truth gain" in found:
        truth = found["truth gain"]
        if truth.above_zero or truth.below_zero:
            parts.append(f"it points {'' if truth.above_zero else 'away from '}where the signal is")
        else:
            parts.append("it cannot be told whether it points where the signal is")
    if share is not None and share < HARDLY:
        parts.append(f"the stain is hardly used ({100 * share:.0f} % of the worth)")
    return "; ".join(parts) + "."
