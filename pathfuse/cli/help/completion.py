"""`pathfuse completion SHELL`: commands, recipes, studies, components and options behind the TAB key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pathfuse.cli.text import COMMANDS, details_of, print_help
from pathfuse.errors import RecipeError

_BASH = """_pathfuse() {
    local IFS=$'\\n'
    COMPREPLY=($(pathfuse completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _pathfuse pathfuse"""
_ZSH = (
    """autoload -U +X bashcompinit && bashcompinit
"""
    + _BASH
)
_FISH = """complete -c pathfuse -a '(set -l words (commandline -opc) (commandline -ct); \\
    pathfuse completion words $words[2..-1] 2>/dev/null)'"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_VERBS = {
    "recipes": ("list", "show", "copy"),
    "plugins": ("list", "show", "check", "new"),
    "store": ("inspect", "check", "repack", "convert"),
    "data": ("check", "split", "demo"),
    "study": ("list",),
    "completion": tuple(SCRIPTS),
}


def completion(words: list[str]) -> int:
    """Prints the script of a shell, or what may follow a line."""
    if words[:1] == ["words"]:
        print("\n".join(following(words[1:])))
        return 0
    if len(words) == 1 and words[0] in SCRIPTS:
        print(SCRIPTS[words[0]])
        return 0
    if not words or words[0] in ("--help", "-h"):
        return print_help("completion")
    raise RecipeError(f"{' '.join(words)!r} is no shell; write {', '.join(SCRIPTS)}.")


def following(words: Sequence[str]) -> list[str]:
    """What may stand in place of the last word of a line; nothing where a file is meant.

    Args:
        words: behind `pathfuse`, the last one begun, and maybe empty.
    """
    *before, begun = words or [""]
    return sorted({word for word in _candidates(before, begun) if word.startswith(begun)})


def _candidates(before: Sequence[str], begun: str) -> Iterable[str]:
    if not before:
        return COMMANDS
    name, last = before[0], before[-1]
    if last in ("--recipe", "-r", "--config", "-c") or (name == "recipes" and last in ("show", "copy")):
        from pathfuse.recipes.find import recipe_files

        return [file.name for file in recipe_files()]
    if name == "plugins" and last in ("show", "check"):
        from pathfuse.registry import components

        return [component.name for component in components()]
    if name == "plugins" and last == "--kind":
        from pathfuse.registry import REGISTRIES

        return [registry.slot for registry in REGISTRIES]
    if begun.startswith("-"):
        return ["--help", *re.findall(r"^\s*(--[\w-]+)", details_of(name), re.MULTILINE)]
    if name == "study" and len(before) == 1:
        from pathfuse.recipes.find import shipped_files

        return ["list", *(file.name for file in shipped_files("studies"))]
    return _VERBS.get(name, ()) if len(before) == 1 else ()
