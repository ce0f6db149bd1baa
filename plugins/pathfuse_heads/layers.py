"""The few layers of a head."""

from __future__ import annotations

from torch import nn

from pathfuse.errors import RecipeError


def classifier(dim: int, out: int, hidden: int | None, dropout: float) -> nn.Sequential:
    """One linear layer, or two with ReLU between them; dropout before each."""
    if hidden is None:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, out))
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, out)
    )


def within(option: str, value: float, low: float, high: float) -> None:
    """Raises a RecipeError unless low <= value <= high."""
    if not low <= value <= high:
        raise RecipeError(f"{option}: {value} is outside {low:g} to {high:g}. Choose a value in that range.")


def at_least_one(option: str, value: int | None) -> None:
    """Raises a RecipeError if the value is a number below 1."""
    if value is not None and value < 1:
        raise RecipeError(f"{option}: {value} units are no layer. Choose 1 or more.")
