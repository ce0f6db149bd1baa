"""`pathfuse extract SLIDES...`: its options are the fields of `ExtractJob`, with their types, defaults and words."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pathfuse.cli.text import COMMANDS
from pathfuse.cli.values import number, one_of, whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError, cannot_be_read
from pathfuse.extract.options import ExtractJob

END = """A killed run is continued by the same line. Several processes may share one --out. The exit status is 1 if a
slide failed; status.csv beside the features says why."""
OF_COMPONENT = "_options"  # a field `encoder_options` takes every `--encoder.KEY VALUE`
SHOWN = {int: " N", float: " V", Path: " DIR", bool: " BOOL"}
AUTO = "auto"
WIDTH, INDENT = 80, 23


class Option(NamedTuple):
    """One field of the job, as the command line knows it.

    Attributes:
        field: its name.
        kind: its type, without None.
        optional: whether it may be None.
        default: what it is if it is not given; MISSING if it has to be.
        about: the sentence of its description.
    """

    field: str
    kind: Any
    optional: bool
    default: Any
    about: str

    @property
    def key(self) -> str:
        """The option without its dashes."""
        return self.field.replace("_", "-")

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool and self.default is False

    def read(self, value: str) -> object:
        """The value behind it.

        Raises:
            RecipeError: if that is none of its type.
        """
        if self.optional and self.kind in (int, float) and value == AUTO:
            return None
        if get_origin(self.kind) is Literal:
            return one_of(self.key, value, get_args(self.kind))
        if self.kind is bool:
            return one_of(self.key, value, ("true", "false")) == "true"
        if self.kind is int:
            return whole(self.key, value)
        return number(self.key, value) if self.kind is float else self.kind(value)

    def line(self) -> str:
        """Its lines in the help."""
        words = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        value = "" if self.is_flag else " WORD" if words else SHOWN.get(self.kind, " NAME")
        said = f"{', '.join(words[:-1])} or {words[-1]}: {self.about}" if words else self.about
        first = f"--{self.key}{value}".ljust(INDENT - 1) + " "
        text = said.rstrip(".") + ("" if self.is_flag else self._default())
        return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * INDENT)

    def _default(self) -> str:
        if self.default is None:
            return f" ({AUTO})" if self.kind in (int, float) else ""
        return "" if self.default is MISSING else f" ({str(self.default).lower()})"


def described() -> dict[str, str]:
    """Every field of the job to its description."""
    text = (inspect.getdoc(ExtractJob) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(about.split()) for name, about in found}


def options() -> tuple[Option, ...]:
    """The options of the command, in the order of the job."""
    hints, about = get_type_hints(ExtractJob), described()
    found = []
    for one in fields(ExtractJob):
        kinds = get_args(hints[one.name]) if NoneType in get_args(hints[one.name]) else (hints[one.name],)
        (kind,) = (kind for kind in kinds if kind is not NoneType)
        if one.name != "slides" and get_origin(kind) is not Mapping:
            found.append(Option(one.name, kind, len(kinds) > 1, one.default, about[one.name]))
    return tuple(found)


def components() -> tuple[str, ...]:
    """The options whose component has options of its own."""
    return tuple(one.name.removesuffix(OF_COMPONENT) for one in fields(ExtractJob) if one.name.endswith(OF_COMPONENT))


def help_text() -> str:
    """What `pathfuse extract --help` prints."""
    lines = [
        textwrap.fill(described()["slides"], WIDTH, initial_indent="SLIDES".ljust(INDENT)),
        "--cases FILE".ljust(INDENT) + "a case table of slides, as SLIDES also takes it",
    ]
    for option in options():
        lines.append(option.line())
        if option.field in components():
            lines.append(f"--{option.key}.KEY VALUE".ljust(INDENT - 1) + f" {described()[option.field + OF_COMPONENT]}")
    command = COMMANDS["extract"]
    return "\n".join([f"usage: {command.usage}\n\n{command.about}\n", *(line.rstrip(".") for line in lines), "", END])


def extract(words: list[str]) -> int:
    """Turns slides into feature files; the exit status is 1 if a slide failed."""
    line = Words.split(words)
    if line.has("help") or not words:
        print(help_text())
        return 0
    prefixes = tuple(f"{name}." for name in components())
    # Dashes and underscores are the same, but for the options of a component, which are names in Python.
    line.options = [(key if key.startswith(prefixes) else key.replace("_", "-"), value) for key, value in line.options]
    chosen: dict[str, Any] = {f"{name}{OF_COMPONENT}": _of_component(line, name) for name in components()}
    for option in options():
        value = line.take(option.key)
        if value is not None:
            chosen[option.field] = option.is_flag or option.read(value)
        elif option.default is MISSING:
            raise RecipeError(f"--{option.key} is missing. `pathfuse extract --help` says what it may be.")
    slides, line.positional = (*line.positional, *line.take_all("cases")), []
    line.finish()
    from pathfuse.extract.job import run_job

    statuses = run_job(ExtractJob(slides=slides, **chosen))
    return 1 if any(status.status == "failed" for status in statuses) else 0


def _of_component(line: Words, name: str) -> dict[str, object]:
    import yaml

    from pathfuse.recipes.plain_yaml import plain_yaml

    prefix = f"{name}."
    keys = dict.fromkeys(key for key, _ in line.options if key.startswith(prefix))
    try:
        return {key.removeprefix(prefix): plain_yaml(line.take(key) or "") for key in keys}
    except yaml.YAMLError as error:
        raise cannot_be_read(RecipeError, f"an option of --{name}", error, "Quote it as YAML asks.") from error
