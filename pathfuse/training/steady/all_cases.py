"""Tests, calibrations and predictions of all cases: a trainer that leaves some out is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pathfuse.errors import RecipeError

LIMITS = ("limit_test_batches", "limit_predict_batches")


def refuse_partial_test(trainer: Mapping[str, Any]) -> None:
    """Looks at how many cases would be tested, calibrated on and predicted.

    Args:
        trainer: its options.

    Raises:
        RecipeError: if not all would, which nobody sees in the numbers.
    """
    for key in LIMITS:
        if trainer.get(key) not in (None, 1.0):
            raise RecipeError(
                f"trainer.{key} is {trainer[key]}, but all cases are tested, and calibrated on. Leave it out; "
                "--cases FILE names fewer cases."
            )
