"""The trained model that a command means: a run folder, or a recipe with a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError
from pathfuse.recipes import compose, find_recipe
from pathfuse.recipes.compose import SOURCES, STAGE_KEYS

if TYPE_CHECKING:
    from pathfuse.inference.plan import Plan


@dataclass(frozen=True)
class Chosen:
    """A trained model that was named on the command line.

    Attributes:
        plan: its recipe, with the overrides.
        checkpoint: its weights.
        folder: where results go if nobody says otherwise.
        new: whether other cases than the model's own are given.
    """

    plan: Plan
    checkpoint: Path
    folder: Path
    new: bool = False

    def warning(self) -> str:
        """What stands against a test on these cases: the model knows patients of them; empty if it knows none."""
        from pathfuse.inference.versions import warning_of_seen

        return warning_of_seen(self.checkpoint, self.plan.data_of(self.plan.last))

    def notes(self) -> list[str]:
        """How new cases were understood; nothing about the run's own, of which its training said it."""
        from pathfuse.inference.asked.new_cases import check_cases

        data = self.plan.data_of(self.plan.last)
        return [*data.notes(), *check_cases(data, self.plan.specs[self.plan.last])] if self.new else []


def choose_run(line: Words, *, trains: bool = False) -> Chosen:
    """The model behind `RUN`, or behind `--recipe NAME --ckpt_path FILE`.

    Args:
        line: the words of the command line.
        trains: whether the recipe is read with what trains it, as validating and testing need.

    Raises:
        RecipeError, RunError: if neither or both are given, or the run is not trained.
    """
    from pathfuse.runs.folder import RunFolder
    from pathfuse.runs.plugins import of_installed
    from pathfuse.runs.sources import KEYS, Found, as_the_model_reads

    plans = _plans(trains)
    line = line.lengthen()
    checkpoint, files, layers = line.take("ckpt_path"), line.take_all("recipe"), line.take_all("layer")
    line.refuse_misspelt(STAGE_KEYS)
    if len(line.positional) > 1:
        raise RecipeError(f"{line.positional[1]!r} is not understood here; one run at a time.")
    if line.positional:
        run = RunFolder.open(Path(line.positional[0]))
        specs = run.specs()
        classes = next(reversed(specs.values())).classes
        options = with_new_cases(line.options, classes)
        # Further recipes are laid over the run's own, as on the command line of fit.
        recipe = compose([run.config_file, *map(find_recipe, files)], layers, options)
        if options == line.options:
            found = Found(run, recipe.stages)
            if not any(key.rpartition(".")[2] in KEYS for key, _ in options):
                found.ask(run)
            recipe = recipe.beneath(found.options)
        else:
            recipe = recipe.beneath(as_the_model_reads(recipe.stages, specs))
        with of_installed(run):
            plan = plans.parse(recipe)
        plan.specs.update(specs)
        weights = Path(checkpoint) if checkpoint else run.selected(plan.last)
        return Chosen(plan, weights, run.path, new=options != line.options)
    if not files or checkpoint is None:
        raise RecipeError("name a run folder, or give --recipe NAME and --ckpt_path FILE.")
    recipe = compose([find_recipe(file) for file in files], layers, line.options)
    return Chosen(plans.parse(recipe), Path(checkpoint), Path("runs") / recipe.name)


def _plans(trains: bool) -> type[Plan]:
    """How a recipe is read; Lightning is imported only where it trains, validates or tests."""
    if trains:
        from pathfuse.training.plan import TrainingPlan

        return TrainingPlan
    from pathfuse.inference.plan import Plan

    return Plan


def with_new_cases(options: list[tuple[str, str]], classes: Sequence[str]) -> list[tuple[str, str]]:
    """The overrides; if they give other cases, what belongs to the run's own is switched off and its classes kept.

    Args:
        options: what was said on the command line; it wins.
        classes: those of the run.
    """
    given = [key.removeprefix("cohort.") for key, _ in options if key.startswith("cohort.")]
    if not set(given) & set(SOURCES):
        return options
    from pathfuse.cohort.new_cases import for_new_cases

    changed = for_new_cases(given, classes)
    return [*((f"cohort.{key}", _word(value)) for key, value in changed.items()), *options]


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
