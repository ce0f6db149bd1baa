"""A composed recipe, parsed: every stage with its configuration, and how each gets data, model and earlier stages."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from pathfuse.core import DataSpec, Model
from pathfuse.data.contract import CaseData
from pathfuse.errors import RecipeError, RunError
from pathfuse.inference.parsing.trust import trusted_imports
from pathfuse.inference.stage import Stage
from pathfuse.inference.task import Task
from pathfuse.nn.saved import load_saved, tensors_of
from pathfuse.recipes import Recipe
from pathfuse.recipes.compose import SHARED
from pathfuse.recipes.plain_yaml import Config
from pathfuse.registry import import_named_in
from pathfuse.runs.folder import RunFolder
from pathfuse.system.reading import open_regular

STAGE = "stage:"


class _RandomState(NamedTuple):
    """Every generator that a step may draw from."""

    python: tuple[Any, ...]
    numpy: Any
    torch: Tensor


class _Built(NamedTuple):
    """A task, and the generators right after it was built."""

    task: Task
    state: _RandomState


@dataclass
class Plan:
    """The stages of a recipe in the order of training; whoever trains them takes a `TrainingPlan`.

    Attributes:
        recipe: what it was parsed from.
        stages: by name.
        data: data modules made so far, by stage.
        specs: sizes of each stage's data, from the data or from a run folder.
    """

    made_of: ClassVar[type[Stage]] = Stage

    recipe: Recipe
    stages: Mapping[str, Stage]
    data: dict[str, CaseData] = field(default_factory=dict)
    specs: dict[str, DataSpec] = field(default_factory=dict)
    _built: dict[str, _Built] = field(default_factory=dict)
    _lent: dict[str, list[tuple[str, Task]]] = field(default_factory=dict)
    _weights: dict[Path, dict[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def parse(cls, recipe: Recipe) -> Self:
        """Parses every stage before anything is built; only trusted classes can be named.

        Raises:
            RecipeError, PluginError: for the first stage that does not parse.
        """
        import_named_in(recipe.text())
        with trusted_imports():
            stages = {name: cls.made_of(name, config, recipe.overrides[name]) for name, config in recipe.stages.items()}
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

    def task_of(self, stage: str) -> Task:
        """The stage's task, built once; its weights are untrained until it is trained or `load_weights` fills it.

        A model of an earlier stage inside it is a copy of that stage's own, untrained until `fill` is called.
        """
        if stage not in self._built:
            if stage not in self.specs:
                self.data_of(stage)
            self._lent[stage] = []
            task = self.stages[stage].make_task(self.specs[stage], lambda name: self._lend(name, stage))
            self._built[stage] = _Built(task, _random_state())
        return self._built[stage].task

    def fill(self, stage: str, run: RunFolder) -> Task:
        """The stage's task, ready to train: the earlier stages that it stands on have the weights that `run` selected.

        A component that keeps the whole model of an earlier stage is filled where it stands. One that took something
        else from it, such as a part or a copy of its weights, was given untrained ones: its stage is built again.
        """
        task, lent = self.task_of(stage), self._lent[stage]
        for earlier, copy in lent:
            self.select(copy, earlier, run)
        inside = set(task.modules())
        if all(copy.model in inside for _, copy in lent):
            return task
        trained = iter(lent)
        spec, seed_state = self.specs[stage], self._built[stage].state

        def again(name: str) -> Model:
            earlier, copy = next(trained)
            _set_random_state(self._built[earlier].state)
            return copy.model

        self._built[stage] = _Built(self.stages[stage].make_task(spec, again), seed_state)
        return self._built[stage].task

    def select(self, task: Task, stage: str, run: RunFolder) -> None:
        """Puts the weights that `run` selected for a complete stage into a task; their file is read once."""
        checkpoint = run.selected(stage)
        if checkpoint not in self._weights:
            load_weights(task, checkpoint)
            self._weights[checkpoint] = {name: value.cpu().clone() for name, value in task.state_dict().items()}
        else:
            task.load_state_dict(self._weights[checkpoint])

    def _lend(self, reference: str, before: str) -> Model:
        """A copy of the model of a stage before `before`, and the generators as they were when that was built."""
        name = self._earlier(reference, before)
        copy = deepcopy(self.task_of(name))
        self._lent[before].append((name, copy))
        # The weights of what is built next do not depend on whether the earlier stage was built just now or before.
        _set_random_state(self._built[name].state)
        return copy.model

    def _earlier(self, reference: str, before: str) -> str:
        names = list(self.stages)
        earlier = names[: names.index(before)]
        name = reference.removeprefix(STAGE)
        if not reference.startswith(STAGE) or name not in earlier:
            known = ", ".join(STAGE + stage for stage in earlier) or "none: this is the first stage"
            raise RecipeError(f"stage {before}: {reference!r} is no earlier stage. Earlier stages: {known}.")
        return name


def read_tensors(checkpoint: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, or of the safetensors file of an exported run, as it wrote them."""
    run = RunFolder.of_checkpoint(checkpoint)
    with open_regular(checkpoint) if run is None else run.loadable(checkpoint) as file:
        return load(file.read()) if checkpoint.suffix == ".safetensors" else tensors_of(load_saved(file))


def load_weights(task: Task, checkpoint: Path) -> None:
    """Puts a checkpoint's weights into a task; nothing in the file is executed.

    Raises:
        RunError: if the file is damaged, holds more than tensors, or belongs to another model.
    """
    try:
        with warnings.catch_warnings():
            # A file that torch half recognises also costs a warning; the line below says what matters.
            warnings.simplefilter("ignore")
            task.load_state_dict(read_tensors(checkpoint))
    except FileNotFoundError as error:
        raise RunError(f"{checkpoint} does not exist. Train the stage first.") from error
    except RunError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RunError(
            f"{checkpoint} cannot be loaded ({reason}). It is damaged or belongs to another recipe."
        ) from error


@contextmanager
def keep_random_state() -> Iterator[None]:
    """Takes back what is drawn inside."""
    before = _random_state()
    try:
        yield
    finally:
        _set_random_state(before)


def _random_state() -> _RandomState:
    """Where the generators stand."""
    return _RandomState(random.getstate(), np.random.get_state(), torch.get_rng_state())


def _set_random_state(state: _RandomState) -> None:
    """Puts the generators back to where they stood."""
    random.setstate(state.python)
    np.random.set_state(state.numpy)
    torch.set_rng_state(state.torch)
