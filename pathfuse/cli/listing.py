"""`pathfuse recipes` and `pathfuse plugins`: answered from files and package metadata, without importing torch."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pathfuse.cli.text import COMMANDS
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError, RunError
from pathfuse.recipes import find_recipe, recipe_files
from pathfuse.registry import REGISTRIES, components
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
        table = Table("slot", "component", "distribution", box=None)
        for registry in REGISTRIES:
            for component in sorted(registry.table().values(), key=lambda component: component.name):
                table.add_row(registry.slot, component.name, component.distribution)
        Console().print(table)
        for line_of_trouble in filter(None, map(trouble, components())):
            print(f"warning: {line_of_trouble}", file=sys.stderr)
        return 0
    if verb == "show" and len(rest) == 1:
        from pathfuse.cli.component import show

        return show(rest[0])
    if verb == "check" and len(rest) == 1:
        from pathfuse.cli.component import check

        return check(rest[0])
    raise RecipeError(f"`pathfuse plugins {' '.join(line.positional)}` is not understood.")


def _usage(name: str) -> int:
    print(f"usage: {COMMANDS[name].usage}\n\n{COMMANDS[name].about}")
    return 0
