"""jsonargparse's messages in the words of a recipe: the key, the reason, the next step, in one line."""

from __future__ import annotations

import inspect
import re

from jsonargparse import ArgumentParser

from pathfuse.core import Backbone, Encoder, Explainer, Fusion, Head, ImageInput, Metric, Objective
from pathfuse.data.contract import CaseData
from pathfuse.errors import did_you_mean
from pathfuse.inference.parsing.trust import not_allowed
from pathfuse.registry import card_of, components
from pathfuse.registry.faults.unregistered import why_no_component

KINDS: dict[str, type] = {
    "backbone": Backbone, "input": ImageInput, "encoder": Encoder, "fusion": Fusion, "head": Head,
    "objective": Objective, "explainer": Explainer, "metric": Metric, "data": CaseData,
}  # fmt: skip
"""Per slot of a recipe, what its components subclass."""
_KEY = re.compile(r"(?:[Kk]ey \"|class_path ')([\w.]+)")
_REFUSED = re.compile(r"Importing '([^']+)' is not allowed")
_COMPONENT = (
    re.compile(r"Expected a dot import path string:? '?([\w.]+)"),
    re.compile(r"to be a function that returns .*Got value: ([\w.]+)"),
    re.compile(r"Expected a path but '?(\S+?)'? either"),
)
_OPTION = re.compile(r"Option '([^']+)' is not accepted")
_UNKNOWN = re.compile(r"[Uu]nrecognized arguments: --([^= ]+)")
_TYPE = re.compile(
    r"Expected an? (?:<class '(?!NoneType)([\w.]+)'>|typing\.Literal\[([^\]]+)\]).*?(?:Got|Given) value: ([^\n]+)",
    re.DOTALL,
)
_MISSING = re.compile(r"the following arguments are required: (.+)")
_PREFIX = re.compile(r'(Parser|Problem with) key "[^"]+":')
_GROUP = re.compile(r"Group '([\w.]+)' does not accept option '([\w]+)[\w.]*'")
# A class inside a class is parsed by a parser of its own, whose line is quoted among what else was tried.
_EXPLAINED = re.compile(r"^\s*- (.*(?:may not be named in a recipe|is no option there|: expected .*, got ).*)$", re.M)
_NOISE = re.compile(
    r"(Does not validate against any|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|^-?\s*$"
    r"|Not a valid subclass of|Subclass types expect|^\s*- a (class path|dict) )"
)


def explain(message: str, parser: ArgumentParser) -> str:
    """One line for what the parser of a stage found.

    Args:
        message: what jsonargparse says, over several lines.
        parser: asked for its options, to guess what was meant.
    """
    # Messages nest; the innermost key is the most exact one, and it is relative to those before it.
    place = "".join(f"{key}: " for key in dict.fromkeys(_KEY.findall(message)))
    if found := _EXPLAINED.search(message):
        return place + found[1]
    if found := _REFUSED.search(message):
        return place + (why_no_component(found[1], KINDS) or not_allowed(found[1]))
    if found := _UNKNOWN.search(message):
        return f"--{found[1]} is no option.{_guess_option(found[1], parser)} `pathfuse fit --help` lists all of them."
    if found := _GROUP.search(message):
        return f"{found[1]}: {found[2]!r} is no option there.{_guess_option(f'{found[1]}.{found[2]}', parser)}"
    if found := _OPTION.search(message):
        return f"{place}{found[1]!r} is no option there.{did_you_mean(found[1], _option_names(parser) - {found[1]})}"
    if found := _TYPE.search(message):
        wanted = found[1] or f"one of {found[2]}".replace("'", "")
        return f"{place}expected {wanted}, got {found[3].strip()!r}."
    for pattern in _COMPONENT:
        if found := pattern.search(message):
            return f"{place}{_no_component(found[1])}"
    if found := _MISSING.search(message):
        return f"{place}{found[1].strip()} is required; add it to the recipe or the command line."
    lines = [_PREFIX.sub("", line).strip(" -") for line in message.splitlines() if not _NOISE.search(line)]
    return place + (
        " ".join(line for line in lines if line) or "expected a class by name, or class_path and init_args."
    )


def _no_component(word: str) -> str:
    card = card_of(word)
    if card is not None and card.missing:
        return card.refusal
    if said := why_no_component(word, KINDS):
        return said
    names = [component.name for component in components()] + _optimisers()
    return f"{word} is not a known component.{did_you_mean(word, names)} `pathfuse plugins` lists all."


def _guess_option(option: str, parser: ArgumentParser) -> str:
    parent, dot, word = option.rpartition(".")
    known = {dest.removeprefix(parent + dot).partition(".")[0] for dest in _dests(parser) if dest.startswith(parent)}
    return did_you_mean(word, known, before=f"--{parent}{dot}")


def _dests(parser: ArgumentParser) -> list[str]:
    return [action.dest for action in parser._actions]


def _option_names(parser: ArgumentParser) -> set[str]:
    """Option names of everything imported so far: enough to find a slip of the finger."""
    names = {dest.rsplit(".", 1)[-1] for dest in _dests(parser)}
    for component in components():
        if component.imported:
            names.update(inspect.signature(component.load()).parameters)
    return names


def _optimisers() -> list[str]:
    from torch import optim

    return [name for name in (*dir(optim), *dir(optim.lr_scheduler)) if name[0].isupper()]
