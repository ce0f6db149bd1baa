"""`pathfuse recipes`: the recipes that can be named, listed, shown and copied."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pathfuse.cli.text import print_help
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError, RunError
from pathfuse.recipes import find_recipe, recipe_files
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_whole_text


def recipes(words: list[str]) -> int:
    """Lists, shows or copies recipes."""
    line = Words.split(words)
    if line.has("help"):
        return print_help("recipes")
    verb, *rest = line.positional or ["list"]
    if verb == "list" and not rest:
        table = Table("recipe", "from", "what it is", box=None)
        for recipe in recipe_files():
            table.add_row(recipe.name, recipe.origin, recipe.title)
        Console().print(table)
    elif verb == "show" and len(rest) == 1:
        print(read_whole_text(find_recipe(rest[0])), end="")
    elif verb == "copy" and len(rest) == 2:
        target = Path(rest[1])
        if target.exists():
            raise RunError(f"{target} exists already. Choose another file name.")
        write_text(target, read_whole_text(find_recipe(rest[0])))
        print(f"{target} written; use it with: pathfuse fit --recipe {target}")
    else:
        raise RecipeError(f"`pathfuse recipes {' '.join(line.positional)}` is not understood.")
    return 0
