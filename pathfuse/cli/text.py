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
--cases PATH        other cases than the run's own, all of them new to it
--stores MAP        with a label table, the folder of features of each stain: '{he: DIR, ihc: DIR}'
--out DIR           where results go (a new folder in RUN)
--key.subkey VALUE  any option of the run's recipe"""


RUNNING = """
--out DIR           folder of the study; the same line goes on with one that was stopped (runs/<name>)
--seeds 1,2         every fold is trained with each
--folds FILE|N      folds, as `pathfuse data split` writes them; or so many, drawn with --repeats N and --split_seed N
--leave-out COLUMN  a fold per value of a column, such as site, each tested by a model that never saw it
--cases PATH        the cohort: a case table, a label table (with --stores) or a folder; without, the demo cohort
--layer NAME        a layer of the study or of its recipes
--jobs N            runs side by side on a machine, which share its cores (1; with --gpus as many as GPUs hold)
--engine NAME       local: processes of this machine; ray: tasks of a cluster (local)
--address A         with ray: HOST:PORT, auto or local (RAY_ADDRESS, else starts Ray here)
--gpus X            with ray: GPUs per run, 0.25 puts four on one (0)
--shard i/n         every n-th run from the i-th on, for job arrays; the last to end writes the report
--only NAME,NAME    these variants of a study alone, a name with a star for several
--dry-run           say what would be done
--key.subkey VALUE  any option of all recipes; --last.key.subkey one of their last stage; --VARIANT.key.subkey one of
                    a variant of the study

Runs that are done with the same recipe, folds and cases are skipped. A failure is recorded in runs.csv and the rest
goes on; the exit status is then 1."""


COMMANDS = {
    "fit": Command(
        "pathfuse.cli.train:fit",
        "pathfuse fit --recipe NAME [--layer NAME] [--out DIR] [--key.subkey VALUE ...]",
        "train a recipe, stage by stage, and test it",
        """
--recipe NAME       a recipe by name or file; repeated, later ones are laid over earlier ones
--layer NAME        a layer of the recipe, such as demo: its smaller sizes
--cases PATH        the cohort: a case table, a label table or a folder of images; without, the demo cohort
--stores MAP        with a label table, the folder of features of each stain: '{he: DIR, ihc: DIR}'
--label COLUMN      the column of labels, where it has no usual name
--folds FILE        parts from a file of folds, with --cohort.repeat N and --cohort.fold N
--out DIR           the run folder (runs/<recipe>/<time>)
--resume RUN        go on with a run from its last finished epoch; with more --trainer.max_epochs, for longer
--all-subsets       show also the results from stains that the model was never trained to be given
--logger NAME       csv, tensorboard, wandb or mlflow: curves, hyper-parameters and test metrics in that too
--print_config      print the resolved recipe instead; --print_config=skip_default only what is not default
--key.subkey VALUE  any option of all stages; --STAGE.key.subkey VALUE one of one stage

`pathfuse fit --help=all` prints every option, `pathfuse plugins show NAME` those of a component.
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
        "pathfuse test RUN [--cases PATH] [--out DIR]",
        "metrics of a run for every combination of stains",
        f"{ON_RUN}\n--all-subsets       show also the results from stains that the model was never trained to be given",
    ),
    "predict": Command(
        "pathfuse.cli.train:predict",
        "pathfuse predict RUN [--cases PATH] [--out DIR]",
        "scores of new cases; needs no labels and no IHC",
        ON_RUN,
    ),
    "explain": Command(
        "pathfuse.cli.explain:explain",
        "pathfuse explain RUN [--explainer NAME] [--target CLASS] [--out DIR]",
        "where a run looked, as pictures, tables and figures",
    ),
    "recipes": Command(
        "pathfuse.cli.listing:recipes",
        "pathfuse recipes [list | show NAME | copy NAME FILE]",
        "the recipes that can be named",
    ),
    "plugins": Command(
        "pathfuse.cli.plugins.command:plugins",
        "pathfuse plugins [list | show NAME | check NAME|DISTRIBUTION | new DIR --kind KIND [--name NAME]] [--json]",
        "the components that a recipe can name; a new one",
    ),
    "doctor": Command(
        "pathfuse.cli.doctor.command:doctor",
        "pathfuse doctor [--json]",
        "versions, extras, GPU, folders and plug-ins of this installation",
        """
--json              the same for programs

Nothing is installed, downloaded or changed. The exit status is 1 if there is a problem.""",
    ),
    "compare": Command(
        "pathfuse.cli.compare:compare",
        "pathfuse compare RUN [RUN ...] [--baseline NAME] [--metric NAME ...] [--given STAINS] [--out DIR]",
        "paired statistics of runs on shared patients, or of stains",
    ),
    "report": Command(
        "pathfuse.cli.publish:report",
        "pathfuse report RUN|STUDY|COMPARISON [--by COLUMN] [--all-subsets] [--out FILE.html]",
        "one page about a run, a study or a comparison",
        """
RUN                 the folder of a run, of a study, or of a comparison
--by COLUMN         metrics per value of a column of the case table, or of several, separated by commas (site)
--all-subsets       show also the results from stains that the model was never trained to be given
--out FILE          the page (report.html in the folder); its numbers go beside it, as FILE.json""",
    ),
    "export": Command(
        "pathfuse.cli.publish:export",
        "pathfuse export RUN --to stamp|folder --out DIR [--label NAME] [--given STAINS]",
        "test predictions as other tools write them; a model to hand on",
        """
RUN                 a run folder, or a folder of the runs of all folds with one seed
--to folder         the trained model: safetensors, recipe, preprocessing, labels, metrics, model card; no pickle
--to stamp          patient-preds.csv, in split-<i>/ for each fold; cases of a patient are averaged
--out DIR           where it goes, without a result already
--label NAME        name of the label column (label)
--given STAINS      the stains whose predictions are written, such as he+ihc, if the run has several""",
    ),
    "crossval": Command(
        "pathfuse.cli.study:crossval",
        "pathfuse crossval --recipe NAME --folds FILE|N [--seeds 1,2] [--out DIR] [--jobs N] ...",
        "train and test a recipe on every fold",
        "\n--recipe NAME       a recipe by name or file; repeated, later ones are laid over earlier ones" + RUNNING,
    ),
    "study": Command(
        "pathfuse.cli.study:study",
        "pathfuse study [list | STUDY.yaml] [--out DIR] [--jobs N] [--shard i/n] [--dry-run] ...",
        "recipes over folds and seeds, compared and reported",
        "\nSTUDY               a study by name or file; `pathfuse study list` lists those that can be named" + RUNNING,
    ),
    "extract": Command(
        "pathfuse.cli.extract:extract",
        "pathfuse extract SLIDES... --encoder NAME --weights WHAT --out DIR [--mpp V] [--slide-mpp V] [--shard i/n]",
        "slides to feature files, resumably, with any encoder",
    ),
    "register": Command(
        "pathfuse.cli.sections.register:register",
        "pathfuse register CASES|HE IHC [--fixed he] [--moving ihc] --out DIR [--slide-mpp V] [--landmarks FILE]",
        "lay one slide on another, with measured quality",
    ),
    "pairs": Command(
        "pathfuse.cli.sections.pairs:pairs",
        "pathfuse pairs DIR --out PAIRS [--patch-px 1024] [--mpp 0.46] [--max-error-um 15] [--min-similarity 0.6]",
        "cut trusted patch pairs from registered slides",
    ),
    "quantify": Command(
        "pathfuse.cli.sections.quantify:quantify",
        "pathfuse quantify SLIDES... --out DIR [--modality ihc] [--patch-px 256] [--mpp 0.5] [--vectors standard|own]",
        "measure DAB and haematoxylin, per patch and slide",
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
    "completion": Command(
        "pathfuse.cli.help.completion:completion",
        "pathfuse completion bash|zsh|fish",
        "a script for the TAB key of your shell",
        """
bash, zsh, fish     prints the script; put it into the file that your shell reads when it starts""",
    ),
}


def print_help(name: str, options: str = "") -> int:
    """Prints how a command is called, what it is for and its options; the exit status is 0.

    Args:
        name: of the command.
        options: what it takes, where its own module says so.
    """
    command = COMMANDS[name]
    print(f"usage: {command.usage}\n\n{command.about}\n{options or command.details}")
    return 0


def details_of(name: str) -> str:
    """The options of a command as its help says them, wherever they are written; nothing of an unknown one."""
    if name not in COMMANDS:
        return ""
    from importlib import import_module

    module = import_module(COMMANDS[name].target.partition(":")[0])
    own = [getattr(module, word, "") for word in ("HELP", "USAGE")]
    own += [module.help_text()] if hasattr(module, "help_text") else []
    own += [module.splits.HELP] if hasattr(module, "splits") else []
    return "\n".join([COMMANDS[name].details, *(text for text in own if isinstance(text, str))])


OVERVIEW = "\n".join(
    [
        "usage: pathfuse COMMAND ...",
        "",
        "Plug-in framework for multi-modal pathology: paired H&E and IHC, HER2 first.",
        "",
        *(f"  {name:<10} {command.about}" for name, command in COMMANDS.items()),
        "",
        "Start with: pathfuse fit --recipe corranet.yaml",
        "`pathfuse COMMAND --help` says more; `pathfuse --version` prints the version.",
    ]
)
