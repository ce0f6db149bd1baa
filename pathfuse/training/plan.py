"""A composed recipe, parsed: every stage with its configuration, and how each gets data, model and earlier stages."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pathfuse.core import DataSpec, Model
from pathfuse.data.contract import CaseData
from pathfuse.errors import RecipeError, RunError
from pathfuse.recipes import Recipe
from pathfuse.recipes.compose import SHARED, Config
from pathfuse.registry import import_named_in
from pathfuse.runs.folder import RunFolder
from pathfuse.training.stage import StageCLI
from pathfuse.training.task import Task
from pathfuse.training.trust import trusted_imports

STAGE = "stage:"


@dataclass
class Plan:
    """The stages of a recipe in the order of training.

    Attributes:
        recipe: what it was parsed from.
        stages: one LightningCLI per stage.
        data: data modules made so far, by stage.
        specs: sizes of each stage's data, from the data or from a run folder.
    """

    recipe: Recipe
    stages: dict[str, StageCLI]
    data: dict[str, CaseData] = field(default_factory=dict)
    specs: dict[str, DataSpec] = field(default_factory=dict)

    @classmethod
    def parse(cls, recipe: Recipe) -> Plan:
        """Parses every stage before anything is built; only trusted classes can be named.

        Raises:
            RecipeError, PluginError: for the first stage that does not parse.
        """
        import_named_in(recipe.text())
        with trusted_imports():
            stages = {name: StageCLI(name, config, recipe.overrides[name]) for name, config in recipe.stages.items()}
        return cls(recipe, stages)

    @property
    def last(self) -> str:
        """The stage whose model is tested and handed on."""
        return list(self.stages)[-1]

    def config(self, skip_default: bool = False) -> Config:
        """The resolved recipe, with what all stages share written once."""
        dumped = {name: stage.dump(skip_default) for name, stage in self.stages.items()}
        first = next(iter(dumped.values()))
        shared = {key: first[key] for key in SHARED if all(key in d and d[key] == first[key] for d in dumped.values())}
        own = {name: {k: v for k, v in config.items() if k not in shared} for name, config in dumped.items()}
        return {**shared, "stages": own}

    def data_of(self, stage: str) -> CaseData:
        """The stage's data module, made once."""
        if stage not in self.data:
            data = self.data[stage] = self.stages[stage].make_data()
            data.made_for = self.specs.get(stage)
            self.specs.setdefault(stage, data.spec())
        return self.data[stage]

    def task_of(self, stage: str, stage_model: Callable[[str], Model]) -> Task:
        """A new task of the stage, with untrained weights of its own."""
        if stage not in self.specs:
            self.data_of(stage)
        return self.stages[stage].make_task(self.specs[stage], stage_model)

    def untrained(self, reference: str, before: str) -> Model:
        """The model of a stage before `before`, as it is before training: enough to see whether everything fits."""
        name = self._earlier(reference, before)
        return self.task_of(name, lambda inner: self.untrained(inner, name)).model

    def trained(self, reference: str, before: str, run: RunFolder) -> Model:
        """The model of a stage before `before`, with the weights that it hands on in `run`."""
        name = self._earlier(reference, before)
        task = self.task_of(name, lambda inner: self.trained(inner, name, run))
        load_weights(task, run.selected(name))
        return task.model

    def _earlier(self, reference: str, before: str) -> str:
        names = list(self.stages)
        earlier = names[: names.index(before)]
        name = reference.removeprefix(STAGE)
        if not reference.startswith(STAGE) or name not in earlier:
            known = ", ".join(STAGE + stage for stage in earlier) or "none: this is the first stage"
            raise RecipeError(f"stage {before}: {reference!r} is no earlier stage. Earlier stages: {known}.")
        return name


def load_weights(task: Task, checkpoint: Path) -> None:
    """Puts a checkpoint's weights into a task; nothing in the file is executed.

    Raises:
        RunError: if the file is damaged, holds more than tensors, or belongs to another model.
    """
    try:
        with warnings.catch_warnings():
            # A file that torch half recognises also costs a warning; the line below says what matters.
            warnings.simplefilter("ignore")
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        task.load_state_dict(content["state_dict"])
    except FileNotFoundError as error:
        raise RunError(f"{checkpoint} does not exist. Train the stage first.") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RunError(
            f"{checkpoint} cannot be loaded ({reason}). It is damaged or belongs to another recipe."
        ) from error
