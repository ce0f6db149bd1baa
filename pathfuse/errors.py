"""Errors that a user can act on: each message names the thing, the place in it and the next step.

The command line prints the message as one line and exits with `exit_code`; nothing else is caught there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

E = TypeVar("E", bound="PathfuseError")


class PathfuseError(Exception):
    """Anything a user can repair; `str(error)` is the whole line shown to them."""

    exit_code = 2


class RecipeError(PathfuseError):
    """A recipe, layer, stage or override that cannot be used."""


class PluginError(PathfuseError):
    """A component name that is unknown or claimed twice, or a plug-in that does not import."""


class TrustError(PathfuseError):
    """A recipe or checkpoint that names code outside pathfuse, the installed plug-ins and the allow-list."""


class CaseTableError(PathfuseError):
    """A row or column of a case table, or a file of a case folder, that cannot be used."""


class ImageError(PathfuseError):
    """An image file that cannot be decoded or does not fit its partner."""


class WeightsError(PathfuseError):
    """Pretrained weights that are not there or do not fit the network."""


class RunError(PathfuseError):
    """A run folder that exists already, is incomplete, or belongs to another recipe or cohort."""


class NotFiniteError(PathfuseError):
    """A loss, a weight or a prediction that is NaN or infinite: what was asked for began, and failed."""

    exit_code = 1


class MachineError(PathfuseError):
    """What the machine refused, such as a full disk or too many open files: what was asked for began, and failed."""

    exit_code = 1


class LostProcessError(PathfuseError):
    """A process of a run of several that ended, or does not answer; the run can be resumed."""

    exit_code = 1


class StoreError(PathfuseError):
    """A feature file that cannot be read, lacks a fact that is needed, or does not fit its cohort."""


class RegistrationError(PathfuseError):
    """Slides that cannot be registered, or a transform that cannot be read or belongs to other slides."""


def did_you_mean(word: str, known: Iterable[str], *, before: str = "", nearness: float = 0.5) -> str:
    """The sentence that offers the known word which is most like a misspelt one; empty where none is near.

    Capitals do not count, and the sentence starts with a space, so that it can follow another one.

    Args:
        word: what was written.
        known: what could have been meant; of words that differ in capitals alone, the first is offered.
        before: what stands in front of the word in the sentence, for example the dashes of an option.
        nearness: how like it is, from 0 to 1; more where the word may well be right.
    """
    from difflib import get_close_matches  # most commands never misspell anything

    by_lower: dict[str, str] = {}
    for name in known:
        by_lower.setdefault(name.lower(), name)
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=nearness)
    return f" Did you mean {before}{by_lower[near[0]]}?" if near else ""


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are: all of them would bury the next step of a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def cannot_be_read(error: type[E], path: object, cause: BaseException | str, advice: str) -> E:
    """The error for a file that is not there, is damaged or holds something else; raise it `from` its cause.

    Args:
        error: the class that the caller speaks in.
        path: the file.
        cause: why; of an exception, its own words in one line.
        advice: the next step, one sentence.
    """
    words = cause if isinstance(cause, str) else getattr(cause, "strerror", None) or str(cause)
    if isinstance(cause, KeyError):
        words = f"{words} is missing"
    reason = " ".join(words.split())[:160] or type(cause).__name__
    return error(f"{path} cannot be read ({reason}). {advice}")


def without_guess(text: str) -> str:
    """A message without the sentence of `did_you_mean`, for one that goes on with what is known."""
    return re.sub(r" Did you mean [^?]*\?", "", text)
