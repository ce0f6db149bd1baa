"""`pathfuse test STUDY` and `predict STUDY`: every trained model of a variant, and their mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pathfuse.cli.chosen import choose_run
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError
from pathfuse.recipes.compose import SOURCES

if TYPE_CHECKING:
    from pathfuse.runs.folder import RunFolder

Work = Callable[[Any, Path, "RunFolder", Console], None]


def on_members(
    name: str,
    line: Words,
    members: Mapping[str, Sequence[Path]],
    work: Work,
    out: RunFolder,
    console: Console,
    *,
    all_subsets: bool = False,
) -> None:
    """Tests or predicts with every member of every variant, then writes the ensemble of each variant.

    Args:
        name: `test` or `predict`.
        line: the words of the command line, without `--out`.
        members: run folders by variant.
        work: what is done with a member.
        out: a folder; several variants have one each in it.
        console: where progress and the tables go.
        all_subsets: show also the combinations of stains that the models were never trained to be given.

    Raises:
        RecipeError: if `predict` would predict the cases that the members were trained on.
    """
    from pathfuse.runs.files import PREDICTIONS
    from pathfuse.runs.folder import RunFolder
    from pathfuse.study.ensemble import combine, write_metrics

    given = {key.removeprefix("cohort.") for key, _ in line.lengthen().options}
    if name == "predict" and not given & set(SOURCES):
        raise RecipeError("say which cases to predict with --cases PATH: the members know theirs.")
    if name == "validate":
        raise RecipeError("validate takes one run; name one below the study.")
    for variant, runs in members.items():
        joint = RunFolder(out.path / variant) if len(members) > 1 else out
        made, warnings = [], []
        for number, run in enumerate(runs, 1):
            console.print(f"{variant}: member {number} of {len(runs)}, {run}", highlight=False, soft_wrap=True)
            made.append(RunFolder(joint.path / "members" / "-".join(run.parts[-2:])))
            chosen = choose_run(Words(list(line.options), [str(run)]), trains=name == "test")
            work(chosen.plan, chosen.checkpoint, made[-1], Console(quiet=True))
            warnings.append(chosen.warning())
        count = combine(made, joint, runs)
        console.print(f"{variant}: mean of {count} members per case: {joint.path / PREDICTIONS}", highlight=False,
                      soft_wrap=True)  # fmt: skip
        if name == "test":
            from pathfuse.training.evaluate import print_tables

            measures = chosen.plan.task_of(chosen.plan.last).measures
            print_tables(joint, write_metrics(joint, measures), measures.keys, console, all_subsets=all_subsets)
        if any(warnings):
            console.print(f"{variant}: {next(filter(None, warnings))}", highlight=False, soft_wrap=True)
