"""The verbs of `pathfuse plugins`: list, show, check and new."""

from __future__ import annotations

from pathlib import Path

from pathfuse.cli.text import print_help
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError, did_you_mean

VERBS = ("list", "show", "check", "new")
HELP = """
list                 every component with its slot, distribution, version, API, licence of the code, and the libraries
                     that it could reach the network with; what does not work is a warning
show NAME            what a component is for, its options, and the card of a published network
check NAME           the conformance checks of a component, or of all components of a distribution; 1 if one fails
new DIR              writes a distribution with one small component of each kind, whose tests pass as it is
--kind KIND          the slot, or several with commas: backbone, input, encoder, fusion, head, objective, explainer,
                     data, metric, reader, tissue, normaliser, store, registration
--name NAME          of its class, or one for each kind with commas; without it, folder and kind together
--json               list and check for programs"""


def plugins(words: list[str]) -> int:
    """Lists all components, shows or checks some, or begins a new plug-in."""
    line = Words.split(words)
    if line.has("help"):
        return print_help("plugins", HELP)
    verb, *rest = line.positional or ["list"]
    if verb not in VERBS:
        raise RecipeError(f"`pathfuse plugins {verb}` is not understood.{did_you_mean(verb, VERBS)}")
    if len(rest) != (0 if verb == "list" else 1):
        raise RecipeError(f"`pathfuse plugins {verb}` takes {'nothing' if verb == 'list' else 'one word'} behind it.")
    line.positional.clear()
    if verb == "new":
        return _new(line, Path(rest[0]))
    wants_json = verb in ("list", "check") and line.take("json") is not None
    line.finish()
    if verb == "check":
        from pathfuse.cli.plugins.check import check

        return check(rest[0], as_json=wants_json)
    from pathfuse.cli.plugins import table

    return table.list_all(as_json=wants_json) if verb == "list" else table.show(rest[0])


def _new(line: Words, folder: Path) -> int:
    kinds, names = (
        [word.strip() for value in line.take_all(key) for word in value.split(",")] for key in ("kind", "name")
    )
    line.finish()
    from pathfuse.template import write_plugin

    for path in write_plugin(folder, kinds, names):
        print(path)
    print(f"next: pip install --editable '{folder}[test]' and pytest {folder}; {folder}/README.md says more.")
    return 0
