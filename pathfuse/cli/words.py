"""The words of a command line: options are pairs, in any order, and everything else is a positional word."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pathfuse.cli.values import mapping
from pathfuse.errors import RecipeError, did_you_mean

FLAGS = (
    "help",
    "print_config",
    "overwrite",
    "dry-run",
    "json",
    "inverse",
    "all-subsets",
    "faithfulness",
    "alone",
    "hash",
)
SHORT = {"-r": "--recipe", "-h": "--help", "-c": "--recipe", "--config": "--recipe"}
COHORT = {"cases": "cohort.cases", "stores": "cohort.stores", "folds": "cohort.folds"}


@dataclass
class Words:
    """A command line, split.

    Attributes:
        options: (key, value) pairs without dashes, in order; a flag without value has the value "".
        positional: the other words.
        known: the options that the command has asked for so far.
    """

    options: list[tuple[str, str]] = field(default_factory=list)
    positional: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @classmethod
    def split(cls, words: Sequence[str]) -> Words:
        """Splits a line in which every option but a few flags takes one value.

        Raises:
            RecipeError: if an option lacks its value.
        """
        result = cls()
        rest = iter(words)
        for word in rest:
            word = SHORT.get(word, word)
            if not word.startswith("--"):
                result.positional.append(word)
                continue
            key, equals, value = word[2:].partition("=")
            if not equals and key not in FLAGS:
                following = next(rest, None)
                if following is None or following.startswith("--"):
                    raise RecipeError(f"--{key} needs a value.{did_you_mean(key, FLAGS, before='--', nearness=0.8)}")
                value = following
            result.options.append((key, value))
        return result

    def lengthen(self) -> Words:
        """The same line with the short words for the cohort written out, `--cases` as `--cohort.cases`."""
        labels = self.take_all("label")
        if labels:
            said = self.take("cohort.columns")
            named = mapping("cohort.columns", said)
            self.options.append(("cohort.columns", json.dumps({**named, "label": labels[-1]})))
        self.options = [(COHORT.get(key, key), value) for key, value in self.options]
        return self

    def take(self, key: str) -> str | None:
        """Removes an option and returns its last value, or None."""
        values = self.take_all(key)
        return values[-1] if values else None

    def take_all(self, key: str) -> list[str]:
        """Removes an option and returns all its values, in order."""
        self.known.add(key)
        values = [value for name, value in self.options if name == key]
        self.options = [(name, value) for name, value in self.options if name != key]
        return values

    def has(self, *keys: str) -> bool:
        """Whether one of the options is there."""
        return any(name in keys for name, _ in self.options)

    def refuse_misspelt(self, others: Iterable[str]) -> None:
        """Refuses a word that is nearly an option of the command.

        Args:
            others: first words of keys of a recipe, which may stand beside its options.

        Raises:
            RecipeError: naming the word and the option.
        """
        known = self.known | {*COHORT, "label"}  # which are written out by now
        for key, _ in self.options:
            guess = "" if "." in key or key in others else did_you_mean(key, known, before="--")
            if guess:
                raise RecipeError(f"--{key} is no option.{guess}")

    def finish(self) -> None:
        """Refuses what nobody took.

        Raises:
            RecipeError: naming the first word that is left.
        """
        if self.positional:
            raise RecipeError(f"{self.positional[0]!r} is not understood here.")
        for key, _ in self.options:
            raise RecipeError(f"'--{key}' is not understood here.{did_you_mean(key, self.known, before='--')}")
