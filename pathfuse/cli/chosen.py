"""Which trained model a command means: a run folder, or a recipe with a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError
from pathfuse.recipes import compose, find_recipe
from pathfuse.recipes.compose import SOURCES

if TYPE_CHECKING:
    from pathfuse.training.plan import Plan

# What belongs to the cases that a run was trained on, whatever its data module calls it.
BELONGS_TO_SOURCE = (*SOURCES, "groups", "labels_table", "splits")
# New cases may lack stains, and all of them are new to the model.
NEW_CASES = {"missing": "allow", "test_on": "all", "repeat": "0", "fold": "0"}
NO_LABELS = {"labels": "optional"}


@dataclass(frozen=True)
class Chosen:
    """A trained model that was named on the command line.

    Attributes:
        plan: its recipe, with the overrides.
        checkpoint: its weights.
        folder: where results go if nobody says otherwise.
    """

    plan: Plan
    checkpoint: Path
    folder: Path

    def warning(self) -> str:
        """What stands against a test on these cases: the model knows patients of them; empty if it knows none."""
        from pathfuse.training.versions import warning_of_seen

        return warning_of_seen(self.checkpoint, self.plan.data_of(self.plan.last))


def choose_run(line: Words, needs_labels: bool = True) -> Chosen:
    """The model behind `RUN`, or behind `--recipe NAME --ckpt_path FILE`.

    Args:
        line: the words of the command line.
        needs_labels: whether cases without a label are an error.

    Raises:
        RecipeError, RunError: if neither or both are given, or the run is not trained.
    """
    from pathfuse.runs.folder import RunFolder
    from pathfuse.training.plan import Plan

    checkpoint, files, layers = line.take("ckpt_path"), line.take_all("recipe"), line.take_all("layer")
    if len(line.positional) > 1:
        raise RecipeError(f"{line.positional[1]!r} is not understood here; one run at a time.")
    if line.positional:
        run = RunFolder.open(Path(line.positional[0]))
        specs = run.specs()
        classes = next(reversed(specs.values())).classes
        options = for_new_cases(line.options, run.data_options(), classes, needs_labels)
        # Further recipes are laid over the run's own, as on the command line of fit.
        plan = Plan.parse(compose([run.config_file, *map(find_recipe, files)], layers, options))
        plan.specs.update(specs)
        return Chosen(plan, Path(checkpoint) if checkpoint else run.selected(plan.last), run.path)
    if not files or checkpoint is None:
        raise RecipeError("name a run folder, or give --recipe NAME and --ckpt_path FILE.")
    recipe = compose([find_recipe(file) for file in files], layers, line.options)
    return Chosen(Plan.parse(recipe), Path(checkpoint), Path("runs") / recipe.name)


def for_new_cases(
    options: list[tuple[str, str]], known: Collection[str], classes: Sequence[str], needs_labels: bool
) -> list[tuple[str, str]]:
    """The overrides; if they give other cases, the run's own are switched off and its classes kept.

    Args:
        options: what was said on the command line; it wins.
        known: the options that the run's data module has.
        classes: those of the run.
        needs_labels: whether a case without a label is an error.
    """
    given = {key.removeprefix("data.") for key, _ in options}
    added = {} if needs_labels else dict(NO_LABELS)
    if given & set(SOURCES):
        added |= {key: "null" for key in BELONGS_TO_SOURCE if key not in given}
        added |= {**NEW_CASES, "classes": json.dumps(list(classes))}
    return [*((f"data.{key}", value) for key, value in added.items() if key in known), *options]
