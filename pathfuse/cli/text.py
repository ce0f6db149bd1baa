"""The commands and what `--help` says about them."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command: where it is, how it is called, and what it is for."""

    target: str
    usage: str
    about: str


COMMANDS = {
    "fit": Command(
        "pathfuse.cli.train:fit",
        "pathfuse fit --recipe NAME [--layer NAME] [--out DIR] [--key.subkey VALUE ...]",
        "train a recipe, stage by stage, and test it",
    ),
    "validate": Command(
        "pathfuse.cli.train:validate",
        "pathfuse validate RUN [--key.subkey VALUE ...]",
        "loss and metrics of a run on its validation part",
    ),
    "test": Command(
        "pathfuse.cli.train:test",
        "pathfuse test RUN [--data.root DIR | --data.cases FILE] [--out DIR]",
        "metrics of a run for every combination of stains",
    ),
    "predict": Command(
        "pathfuse.cli.train:predict",
        "pathfuse predict RUN [--data.root DIR | --data.cases FILE] [--out DIR]",
        "scores of new cases; needs no labels and no IHC",
    ),
    "explain": Command(
        "pathfuse.cli.explain:explain",
        "pathfuse explain RUN [--data.root DIR | --data.cases FILE] [--explainer NAME] [--out DIR]",
        "where a run looked, as overlays and figures",
    ),
    "recipes": Command(
        "pathfuse.cli.listing:recipes",
        "pathfuse recipes [list | show NAME | copy NAME FILE]",
        "the recipes that can be named",
    ),
    "plugins": Command(
        "pathfuse.cli.listing:plugins",
        "pathfuse plugins [list | show NAME | check NAME]",
        "the components that a recipe can name",
    ),
    "data": Command(
        "pathfuse.cli.data:data",
        "pathfuse data [check CASES | demo DIR]",
        "check a case table; write the demo cohort",
    ),
}

OVERVIEW = "\n".join(
    [
        "usage: pathfuse COMMAND ...",
        "",
        "Plug-in framework for multi-modal pathology: paired H&E and IHC, HER2 scoring first.",
        "",
        *(f"  {name:<9} {command.about}" for name, command in COMMANDS.items()),
        "",
        "Start with: pathfuse fit --recipe corranet.yaml",
        "`pathfuse COMMAND --help` says more; `pathfuse --version` prints the version.",
    ]
)
