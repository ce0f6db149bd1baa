"""Refusals of Lightning and of optimisers while they train, in one line: they tell of the recipe."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from lightning.fabric.utilities.exceptions import MisconfigurationException

REFUSALS = (
    MisconfigurationException, AttributeError, ImportError, RuntimeError, TypeError, ValueError, ZeroDivisionError,
)  # fmt: skip
_THEIRS = ("lightning", "lightning_utilities", "optim")
MOST = 300
LONE = "Expected more than 1 value per channel when training"
"""What batch normalisation says of a batch of one vector."""


def refusal(error: Exception) -> str | None:
    """What Lightning, or an optimiser, has against a recipe, in one line; None where an error comes from elsewhere.

    Args:
        error: raised while a stage was trained.
    """
    if str(error).startswith(LONE):
        return "a batch of one case cannot be normalised over its cases. Give loading.batch_size 2 or more."
    if not isinstance(error, MisconfigurationException | ImportError) and not _raised_by_them(error.__traceback__):
        return None
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= MOST else f"{text[:MOST].rsplit(' ', 1)[0]} ..."
    more = " Give one with --logger csv." if "no logger" in text or "logger=False" in text else ""
    return f"{text.rstrip('.')}.{more}"


def _raised_by_them(trace: TracebackType | None) -> bool:
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    parts = Path(trace.tb_frame.f_code.co_filename).parts
    return any(name in parts for name in _THEIRS)
