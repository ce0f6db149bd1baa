"""`pathfuse fit`, `validate`, `test` and `predict`. All but the last import Lightning, here and nowhere before."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rich.console import Console

from pathfuse.cli.chosen import choose_run
from pathfuse.cli.ensemble import Work, on_members
from pathfuse.cli.text import print_help
from pathfuse.cli.words import Words
from pathfuse.errors import PluginError, RecipeError
from pathfuse.recipes import Recipe, compose, find_recipe
from pathfuse.registry import components

if TYPE_CHECKING:
    from pathfuse.runs.folder import RunFolder


def fit(words: list[str]) -> int:
    """Trains a recipe, or continues a run."""
    line = Words.split(words).lengthen()
    if line.has("help"):
        return show_help(everything=line.take("help") == "all")
    files, layers = line.take_all("recipe"), line.take_all("layer")
    out, resume, printing = line.take("out"), line.take("resume"), line.take("print_config")
    every = line.take("all-subsets") is not None
    if out and resume:
        raise RecipeError("--out and --resume exclude each other: a resumed run stays where it is.")
    recipe = _recipe(files, layers, resume, line)
    prepare_lightning()
    if printing is not None:
        return print_config(recipe, printing)
    from pathfuse.training.fit import fit as train

    train(recipe, Path(out) if out else None, Path(resume) if resume else None, Console(), all_subsets=every)
    return 0


def validate(words: list[str]) -> int:
    """Loss and metrics on the validation part."""
    return _on_run("validate", words)


def test(words: list[str]) -> int:
    """Metrics on the test part, or on the cases of another root."""
    return _on_run("test", words)


def predict(words: list[str]) -> int:
    """Predictions for new cases."""
    return _on_run("predict", words)


def print_config(recipe: Recipe, how: str) -> int:
    """Prints the resolved recipe; `skip_default` leaves out what is not said."""
    from pathfuse.training.plan import TrainingPlan

    if how not in ("", "skip_default"):
        raise RecipeError(f"--print_config={how} is unknown; write --print_config or --print_config=skip_default.")
    config = TrainingPlan.parse(recipe).config(skip_default=bool(how))
    print(yaml.safe_dump(config, sort_keys=False), end="")
    return 0


def show_help(*, everything: bool = False) -> int:
    """What fit takes: the usual options, or every option with the components that are installed."""
    print_help("fit")
    if not everything:
        return 0
    prepare_lightning()
    for component in components():
        try:
            component.load()
        except PluginError as error:
            print(f"warning: {error}", file=sys.stderr)
    from pathfuse.training.stage import print_options

    print_options()
    print("`pathfuse plugins show NAME` prints the options of one component.")
    return 0


def prepare_lightning() -> None:
    """Imports Lightning, which takes seconds, with its tips and hints switched off."""
    from pathfuse.training.speaking import prepare_lightning as prepare

    prepare()


def _recipe(files: list[str], layers: list[str], resume: str | None, line: Words) -> Recipe:
    if line.positional:
        raise RecipeError(f"{line.positional[0]!r} is not understood here; a recipe is named with --recipe.")
    if resume and not files:
        from pathfuse.runs.folder import RunFolder
        from pathfuse.runs.sources import Found

        run = RunFolder.open(Path(resume))
        recipe = compose([run.config_file], layers, line.options)
        return recipe.beneath(Found(run, recipe.stages).options)
    if not files:
        raise RecipeError("say what to train with --recipe NAME; `pathfuse recipes` lists all of them.")
    return compose([find_recipe(file) for file in files], layers, line.options)


def _write_page(results: RunFolder, *, all_subsets: bool) -> None:
    """The page of what was tested, beside its numbers."""
    from pathfuse.report.write import write_run_report

    page, *_ = write_run_report(results, all_subsets=all_subsets)
    print(f"report: {page}")


def _work(name: str, *, all_subsets: bool) -> Work:
    """What a command does with a trained model; predicting does without Lightning."""
    if name == "predict":
        from pathfuse.inference.predict import predict_cases
        from pathfuse.inference.speaking import hush

        hush()
        return predict_cases
    prepare_lightning()
    from pathfuse.training.evaluate import test_cases, validate_cases

    return validate_cases if name == "validate" else partial(test_cases, all_subsets=all_subsets)


def _speaks(name: str) -> bool:
    """Whether this process, perhaps of several, is the one that speaks and writes; predicting takes one."""
    if name == "predict":
        return True
    from pathfuse.training.speaking import is_first_rank

    return is_first_rank()


def _on_run(name: str, words: list[str]) -> int:
    """Validates, tests or predicts with a run, or with a recipe and `--ckpt_path`."""
    line = Words.split(words)
    if line.has("help"):
        return print_help(name)
    every = name == "test" and line.take("all-subsets") is not None
    work = _work(name, all_subsets=every)
    from pathfuse.inference.speaking import print_note
    from pathfuse.runs.folder import RunFolder
    from pathfuse.study.ensemble import members_of, unfinished_in

    out, time = line.take("out"), f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    if len(line.positional) == 1 and (members := members_of(Path(line.positional[0]))):
        runs = Path(line.positional[0]).resolve()
        # Beside the runs, where no comparison takes them for further folds.
        folder = Path(out) if out else runs.with_name(f"{runs.name}_{name}_{time}")
        with RunFolder.claim(folder) as results:
            on_members(name, line, members, work, results, Console(), all_subsets=every)
            if name == "test":
                for tested in [results.path / variant for variant in members] if len(members) > 1 else [results.path]:
                    _write_page(RunFolder(tested), all_subsets=every)
            if left_out := unfinished_in(runs):
                print(f"WARNING: runs that are not finished are no members: {len(left_out)}, first {left_out[0]}")
        return 0
    chosen = choose_run(line, trains=name != "predict")
    if name != "validate" and _speaks(name):
        for note in chosen.notes():
            print_note(note, Console())
        if warning := chosen.warning():
            print(warning)
    folder = Path(out) if out else chosen.folder / f"{name}_{time}"
    with nullcontext(RunFolder(folder)) if name == "validate" else RunFolder.claim(folder) as results:
        work(chosen.plan, chosen.checkpoint, results, Console())
        if name == "test" and _speaks(name):
            _write_page(results, all_subsets=every)
    return 0
