"""Checks of options that data modules share; each message names the option, its value and what to give."""

from __future__ import annotations

from collections.abc import Sequence

from pathfuse.errors import RecipeError

MOST_PX = 1 << 14
"""Edge of the largest image; a batch of one takes 3 GB."""


def check_modalities(modalities: Sequence[str]) -> None:
    """Refuses no stain, or one twice."""
    if not modalities or len(set(modalities)) < len(modalities):
        raise RecipeError(f"data.modalities is {list(modalities)}; name each stain once, and at least one.")


def check_at_least(name: str, value: int | None, least: int, otherwise: str = "") -> None:
    """Refuses a number below the least; None is one that is not set."""
    if value is not None and value < least:
        raise RecipeError(f"data.{name} is {value}; give at least {least}{otherwise}.")


def check_edge(name: str, value: int) -> None:
    """Refuses an edge in pixels that no image has."""
    if not 1 <= value <= MOST_PX:
        raise RecipeError(f"data.{name} is {value}; give 1 to {MOST_PX} pixels.")


def check_positive(name: str, value: float | None) -> None:
    """Refuses a number that is not above 0; None is one that is not set."""
    if value is not None and not value > 0:
        raise RecipeError(f"data.{name} is {value}; give more than 0.")
