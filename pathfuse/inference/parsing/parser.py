"""The parser of a stage: jsonargparse, with errors of one line and few words that a file could mistake for others."""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar, NoReturn

import torch
import yaml
from jsonargparse import ArgumentParser, Namespace

from pathfuse.errors import RecipeError
from pathfuse.inference.parsing.messages import explain
from pathfuse.recipes.plain_yaml import OddScalar, plain_yaml

USAGE = "%(prog)s fit --recipe NAME [--key.subkey VALUE ...] [--STAGE.key.subkey VALUE ...]"


class StageParser(ArgumentParser):
    """A parser whose errors are one line with the key, the reason and a guess."""

    SETTINGS: ClassVar[dict[str, Any]] = {
        "allow_abbrev": False,
        "usage": USAGE,
        "description": "Options of every stage:",
    }

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises what the parser found as a RecipeError."""
        raise RecipeError(explain(message, self)) from ex


def refuse_odd(name: str, overrides: list[str]) -> None:
    """Refuses words of the command line that look like a number or a date and are none.

    Args:
        name: of the stage.
        overrides: its words.

    Raises:
        RecipeError: naming the word.
    """
    for word in overrides:
        key, _, value = word.partition("=")
        try:
            plain_yaml(value)
        except OddScalar as error:
            raise RecipeError(f"stage {name}: {key}: {error.problem}.") from error
        except yaml.YAMLError:
            continue  # a word as it is; the type of the option decides


def plain_words(value: Any) -> Any:  # noqa: ANN401 - a tree of parsed values
    """The same with words for Lightning's enumerations and torch's devices, which cannot be written down."""
    if isinstance(value, Namespace):
        for key, inner in vars(value).items():
            setattr(value, key, plain_words(inner))
    if isinstance(value, list):
        return [plain_words(one) for one in value]
    if isinstance(value, str) and isinstance(value, Enum):
        return str(value.value)
    return str(value) if isinstance(value, torch.device) else value
