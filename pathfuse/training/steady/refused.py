"""Refusals of Lightning and of optimisers while they train, in one line: they tell of the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from lightning.fabric.utilities.exceptions import MisconfigurationException

from pathfuse.errors import RecipeError

REFUSALS = (
    MisconfigurationException, AttributeError, ImportError, RuntimeError, TypeError, ValueError, ZeroDivisionError,
)  # fmt: skip
_CALLBACKS = "lightning.pytorch.callbacks"
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
    if not isinstance(error, MisconfigurationException | ImportError) and not _told_by_them(error.__traceback__):
        return None
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= MOST else f"{text[:MOST].rsplit(' ', 1)[0]} ..."
    more = " Give one with --logger csv." if "no logger" in text or "logger=False" in text else ""
    return f"{text.rstrip('.')}.{more}"


@contextmanager
def refusing(stage: str) -> Iterator[None]:
    """A block in which Lightning tests or validates.

    Args:
        stage: whose trainer does.

    Raises:
        RecipeError: for what Lightning has against the recipe; every other error passes as it is.
    """
    try:
        yield
    except REFUSALS as error:
        if (line := refusal(error)) is None:
            raise
        raise RecipeError(f"stage {stage}: {line} Say it otherwise on the command line, with --trainer.") from error


def _told_by_them(trace: TracebackType | None) -> bool:
    """Whether Lightning or an optimiser raised it, or torch within a callback of Lightning's."""
    names, last = list[str](), trace
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__")))
        trace, last = trace.tb_next, trace
    if last is None:
        return False
    own = max((place for place, name in enumerate(names) if name.startswith("pathfuse")), default=-1)
    within = any(name.startswith(_CALLBACKS) for name in names[own + 1 :])
    return within or any(name in Path(last.tb_frame.f_code.co_filename).parts for name in _THEIRS)
