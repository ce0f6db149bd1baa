"""Checks of the options that a recipe gives to a component, for one line in place of a library's own error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pathfuse.errors import RecipeError


def check_counts(asked_by: str, values: Mapping[str, int | None]) -> None:
    """Refuses a number below 1; None is an option that is not set.

    Args:
        asked_by: class name of the component.
        values: its options, by name.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise RecipeError(f"{asked_by}.{name} is {value}; give 1 or more.")


def check_shares(asked_by: str, values: Mapping[str, float]) -> None:
    """Refuses a number outside of 0 to 1.

    Args:
        asked_by: class name of the component.
        values: its options, by name.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise RecipeError(f"{asked_by}.{name} is {value}; give a share from 0 to 1.")


def check_once(asked_by: str, modalities: Sequence[str] | None) -> None:
    """Refuses a stain that is named twice; None is an option that is not set.

    Args:
        asked_by: class name of the component.
        modalities: the stains that it is told to read.
    """
    if modalities is not None and len(set(modalities)) < len(modalities):
        raise RecipeError(f"{asked_by}.modalities is {', '.join(modalities)}; name each stain once.")
