"""Notes on the weights that a component begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class WeightsNote(NamedTuple):
    """Which weights a component begins with, for the report of a run.

    Attributes:
        network: what the weights are of.
        weights: where they come from.
        licence: the terms of whoever published them; `not known` where nobody says.
        commercial: whether they may be used commercially: `yes`, `no`, or empty where nobody says.
    """

    network: str
    weights: str
    licence: str
    commercial: str = ""


class Weighted:
    """Base of every component that is part of a model."""

    @classmethod
    def weights_note(cls, options: Mapping[str, object]) -> WeightsNote | None:
        """Which weights a component with these options begins with; None if it reads none. It loads nothing.

        Args:
            options: of its constructor, as a recipe gives them; what is not said is at its default.
        """
        return None
