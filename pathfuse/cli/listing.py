"""`pathfuse recipes` and `pathfuse plugins`: lists from files and package metadata, and one component, imported."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pathfuse.cli.help.lines import shortened
from pathfuse.cli.text import COMMANDS
from pathfuse.cli.words import Words
from pathfuse.errors import PluginError, RecipeError, RunError
from pathfuse.recipes import find_recipe, recipe_files
from pathfuse.registry import REGISTRIES, Card, Component, card_of, cards, components, read_cards, unknown
from pathfuse.registry.broken import trouble
from pathfuse.system.files import write_text


def recipes(words: list[str]) -> int:
    """Lists, shows or copies recipes."""
    line = Words.split(words)
    if line.has("help"):
        return _usage("recipes")
    verb, *rest = line.positional or ["list"]
    if verb == "list" and not rest:
        table = Table("recipe", "from", "what it is", box=None)
        for recipe in recipe_files():
            table.add_row(recipe.name, recipe.origin, recipe.title)
        Console().print(table)
    elif verb == "show" and len(rest) == 1:
        print(find_recipe(rest[0]).read_text(encoding="utf-8"), end="")
    elif verb == "copy" and len(rest) == 2:
        target = Path(rest[1])
        if target.exists():
            raise RunError(f"{target} exists already. Choose another file name.")
        write_text(target, find_recipe(rest[0]).read_text(encoding="utf-8"))
        print(f"{target} written; use it with: pathfuse fit --recipe {target}")
    else:
        raise RecipeError(f"`pathfuse recipes {' '.join(line.positional)}` is not understood.")
    return 0


def plugins(words: list[str]) -> int:
    """Lists all components, or runs the conformance checks on one."""
    line = Words.split(words)
    if line.has("help"):
        return _usage("plugins")
    verb, *rest = line.positional or ["list"]
    if verb == "list" and not rest:
        _list_plugins()
        return 0
    if verb == "show" and len(rest) == 1:
        card = card_of(rest[0])
        return _show_missing(card) if card is not None and card.missing else _show(_component(rest[0]), card)
    if verb == "check" and len(rest) == 1:
        return _check(_component(rest[0]))
    raise RecipeError(f"`pathfuse plugins {' '.join(line.positional)}` is not understood.")


def _list_plugins() -> None:
    """Every component, then what is named but not built, then what is broken."""
    known, broken_tables = read_cards()
    table = Table("slot", "component", "distribution", "note", box=None)
    for registry in REGISTRIES:
        for component in sorted(registry.table().values(), key=lambda component: component.name):
            card = known.get(component.name)
            table.add_row(registry.slot, component.name, component.distribution, card.note if card else "")
    for card in known.values():
        if card.missing:
            table.add_row(card.kind, card.name, card.distribution, card.note)
    Console().print(table)
    for line_of_trouble in (*broken_tables, *filter(None, map(trouble, components()))):
        print(f"warning: {line_of_trouble}", file=sys.stderr)


def _show_missing(card: Card) -> int:
    """Prints the card of a network that nobody can build here."""
    print(card.text())
    return 0


def _show(component: Component, card: Card | None) -> int:
    """Prints what a component is for, its options as its constructor documents them, and its card if it has one."""
    kind = component.load()
    lines = [f"{kind.__module__}.{kind.__qualname__}", "", *(inspect.getdoc(kind) or "").splitlines(), "", "Options:"]
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
            lines.append(f"  {parameter}")
    if card is not None:
        lines += ["", "Card:", *card.text().splitlines()]
    print("\n".join(short for line in lines for short in shortened(line)))
    return 0


def _check(component: Component) -> int:
    """Runs the conformance checks on a component; the exit status is 1 if one fails."""
    from pathfuse.testing import run_checks, summary

    results = run_checks(component.load())
    failed = [result for result in results if not result.passed]
    print(summary(results), file=sys.stderr if failed else sys.stdout)
    return 1 if failed else 0


def _component(name: str) -> Component:
    known = {component.name: component for component in components()}
    if name not in known:
        raise PluginError(unknown("no component", name, [*known, *cards()]))
    return known[name]


def _usage(name: str) -> int:
    print(f"usage: {COMMANDS[name].usage}\n\n{COMMANDS[name].about}\n{COMMANDS[name].details}")
    return 0
