"""The commands and what `--help` says about them."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command: where it is, how it is called, what it is for, and the options that are its own."""

    target: str
    usage: str
    about: str
    details: str = ""


ON_RUN = """
RUN                 the run folder; or --recipe NAME and --ckpt_path FILE
--data.root DIR     other cases than the run's own, all of them new to it; also --data.cases FILE
--out DIR           where results go (a new folder in RUN)
--key.subkey VALUE  any option of the run's recipe"""


COMMANDS = {
    "fit": Command(
        "pathfuse.cli.train:fit",
        "pathfuse fit --recipe NAME [--layer NAME] [--out DIR] [--key.subkey VALUE ...]",
        "train a recipe, stage by stage, and test it",
        """
--recipe NAME       a recipe by name or file; repeated, later ones are laid over earlier ones
--layer NAME        a layer of the recipe, such as demo: its smaller sizes
--out DIR           the run folder (runs/<recipe>/<time>)
--resume RUN        go on with an interrupted run, from its last finished epoch
--print_config      print the resolved recipe instead; --print_config=skip_default only what is not default
--key.subkey VALUE  any option of all stages; --STAGE.key.subkey VALUE one of one stage
""",
    ),
    "validate": Command(
        "pathfuse.cli.train:validate",
        "pathfuse validate RUN [--key.subkey VALUE ...]",
        "loss and metrics of a run on its validation part",
        ON_RUN,
    ),
    "test": Command(
        "pathfuse.cli.train:test",
        "pathfuse test RUN [--data.root DIR | --data.cases FILE] [--out DIR]",
        "metrics of a run for every combination of stains",
        ON_RUN,
    ),
    "predict": Command(
        "pathfuse.cli.train:predict",
        "pathfuse predict RUN [--data.root DIR | --data.cases FILE] [--out DIR]",
        "scores of new cases; needs no labels and no IHC",
        ON_RUN,
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
    "compare": Command(
        "pathfuse.cli.compare:compare",
        "pathfuse compare RUN RUN ... [--baseline NAME] [--metric NAME ...] [--out DIR]",
        "paired statistics of runs tested on the same patients",
    ),
    "extract": Command(
        "pathfuse.cli.extract:extract",
        "pathfuse extract SLIDES... --encoder NAME --weights WHAT --out DIR [--mpp V] [--slide-mpp V] [--shard i/n]",
        "slides to feature files, resumably, with any encoder",
    ),
    "store": Command(
        "pathfuse.cli.store:store",
        "pathfuse store inspect|check|repack|convert ...",
        "look at, check, repack or convert feature files",
    ),
    "data": Command(
        "pathfuse.cli.data:data",
        "pathfuse data [check CASES | split CASES | demo DIR]",
        "check a case table, draw folds, write the demo cohort",
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
