"""`pathfuse study STUDY` and `pathfuse crossval --recipe NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pathfuse.cli.text import print_help
from pathfuse.cli.train import prepare_lightning
from pathfuse.cli.values import number, whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

if TYPE_CHECKING:
    from pathfuse.study.definition.study import DrawnSplits, Study
    from pathfuse.study.run import HowToRun

DRAWN = ("repeats", "split_seed", "leave-out")


def study(words: list[str]) -> int:
    """Runs a study, or lists those that can be named."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("study")
    if line.positional == ["list"]:
        return _list()
    if len(line.positional) != 1:
        raise RecipeError("name one study; `pathfuse study list` lists those that come with pathfuse.")
    from pathfuse.study.definition.file import find_study, has_layer, read_study
    from pathfuse.study.definition.study import with_only

    path = find_study(line.positional[0])
    line.positional = []
    layers = line.take_all("layer")
    chosen, rest = read_study(path, layers)
    how, out = _how(line), line.take("out")
    prepare_lightning()
    from pathfuse.study.prepare import uses_demo

    only = [name for name in (line.take("only") or "").split(",") if name]
    chosen = with_only(chosen, only)
    found = _changed(chosen, line)
    if has_layer(path, "demo") and "demo" not in layers and uses_demo(found, rest):
        chosen, rest = read_study(path, ["demo", *layers])
        found = _changed(with_only(chosen, only), line)
        print(f"note: no cases: using the built-in demo cohort with the demo layer of {path.name} (smaller sizes)")
    return _run(found, Path(out) if out else Path("runs") / path.stem, how, rest)


def crossval(words: list[str]) -> int:
    """Trains and tests one recipe on every fold: a study of one variant."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("crossval")
    if line.positional:
        raise RecipeError(f"{line.positional[0]!r} is not understood here; a recipe is named with --recipe.")
    from pathfuse.study.definition.study import Study, Variant

    files, layers = line.take_all("recipe"), line.take_all("layer")
    if not files:
        raise RecipeError("say what to train with --recipe NAME; `pathfuse recipes` lists all of them.")
    if not line.has("folds", *DRAWN):
        raise RecipeError(
            "say by which folds with --folds FILE (`pathfuse data split` makes one), --folds N or --leave-out COLUMN."
        )
    name = Path(files[-1]).name.removesuffix(".yaml")
    how, out = _how(line), line.take("out")
    prepare_lightning()
    found = _changed(Study(name, (Variant(name, tuple(files)),)), line)
    return _run(found, Path(out) if out else Path("runs") / f"{name}_crossval", how, tuple(layers))


def _run(found: Study, out: Path, how: HowToRun, layers: tuple[str, ...]) -> int:
    from pathfuse.study.run import run_study

    return run_study(found, out, how, Console(), layers=layers)


def _changed(found: Study, line: Words) -> Study:
    """The study with the folds, seeds and options of the command line, which win."""
    from dataclasses import replace

    from pathfuse.study.definition.parts import splits_file
    from pathfuse.study.definition.study import with_options

    said = dict(line.options)
    if "leave-out" in said and {"folds", "repeats"} & set(said):
        raise RecipeError("--leave-out says what the folds are; leave --folds and --repeats out.")
    found = with_options(found, tuple(_recipe_options(line)))
    if "seeds" in said:
        found = replace(found, seeds=_seeds(said["seeds"]))
    if not said.get("folds", "0").isdecimal():
        return replace(found, splits=splits_file(said["folds"], Path()))
    if any(key in said for key in ("folds", *DRAWN)):
        found = replace(found, splits=_drawn(found, said))
    return found


def _drawn(found: Study, said: dict[str, str]) -> DrawnSplits:
    from dataclasses import replace

    from pathfuse.study.definition.study import DrawnSplits

    before = found.splits if isinstance(found.splits, DrawnSplits) else DrawnSplits()
    folds = whole("folds", said.get("folds", str(before.folds)))
    repeats = whole("repeats", said.get("repeats", str(before.repeats)))
    return replace(
        before,
        folds=folds,
        repeats=repeats,
        seed=whole("split_seed", said.get("split_seed", str(before.seed))),
        leave_out=said.get("leave-out", before.leave_out),
    )


def _recipe_options(line: Words) -> list[tuple[str, str]]:
    """What is left for the recipes."""
    if line.has("splits"):
        raise RecipeError("--splits is now --folds: a file, or a number of folds.")
    line.options = [pair for pair in line.options if pair[0] != "folds"]
    line.lengthen()
    return [(key, value) for key, value in line.options if key not in ("seeds", *DRAWN)]


def _how(line: Words) -> HowToRun:
    from pathfuse.study.run import HowToRun, check_how

    how = HowToRun(
        jobs=whole("jobs", line.take("jobs") or "1"),
        engine=line.take("engine") or "local",  # type: ignore[arg-type]  # checked below
        address=line.take("address"),
        gpus=number("gpus", line.take("gpus") or "0", what="a number, for example 0.25"),
        shard=line.take("shard"),
        dry_run=line.take("dry-run") is not None,
    )
    check_how(how)
    return how


def _seeds(text: str) -> tuple[int, ...]:
    seeds = tuple(whole("seeds", word) for word in text.split(","))
    if len(set(seeds)) < len(seeds):
        raise RecipeError(f"--seeds {text}: each seed once.")
    return seeds


def _list() -> int:
    from pathfuse.study.definition.file import study_files

    table = Table("study", "from", "what it is", box=None)
    for found in study_files():
        table.add_row(found.name, found.origin, found.title)
    Console().print(table)
    return 0
