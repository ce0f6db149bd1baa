"""One stage of a recipe, parsed at once and built later, by itself or for a model that is trained already.

All stages of a recipe are parsed before one is built, so that an error in the second appears at once. What trains, such
as the trainer and the optimiser, is not read here; `pathfuse.training.stage` reads it too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import fields, replace
from inspect import signature
from typing import ClassVar

import yaml
from jsonargparse import Namespace
from jsonargparse._util import import_object

from pathfuse.cohort import Cohort
from pathfuse.core import DataSpec, Head, Model, stage_loader
from pathfuse.data.contract import CaseData
from pathfuse.data.loading.options import Loading
from pathfuse.errors import PathfuseError, RecipeError, without_guess
from pathfuse.inference.computing import Computing
from pathfuse.inference.parsing.confined import confined_cache
from pathfuse.inference.parsing.messages import explain
from pathfuse.inference.parsing.parser import StageParser, plain_words, refuse_odd
from pathfuse.inference.parsing.trust import check_classes, refuse_named, trusted_imports
from pathfuse.inference.task import Task
from pathfuse.recipes.compose import without_typed
from pathfuse.recipes.plain_yaml import Config
from pathfuse.recipes.renamed import new_names

DEFAULT_SEED = 7
_TRAINS = ("steady", "logger", "optimizer", "lr_scheduler")
_TRAINER = tuple(field.name for field in fields(Computing))
Instantiator = tuple[Callable[..., None], type, bool]


def _nothing(kind: type, *args: object, **options: object) -> None:
    """Stands for a part that is not to be built."""


class Stage:
    """A stage of a recipe whose model is trained.

    Args:
        name: of the stage, for messages.
        config: its part of the composed recipe.
        overrides: command-line words on top of it.

    Attributes:
        file: what files and layers say.
        config: everything that was said, parsed.
        groups: groups of the parser that are not built where single ones are.

    Raises:
        RecipeError: if a key, class or value does not fit; names the stage.
    """

    groups: ClassVar[tuple[type, ...]] = (Task, Computing)

    def __init__(self, name: str, config: Config, overrides: list[str]) -> None:
        self.name = name
        self._dumped: dict[bool, Config] = {}
        refuse_odd(name, overrides)
        self.file = without_typed(config, overrides)
        self.parser: StageParser
        self.config: Namespace
        try:
            said, words = self.read(config, overrides)
            self.parser, self.config = self.parsed(["--config", yaml.safe_dump(said), *words])
            check_classes(self.config)
            self._check_data()
        except PathfuseError as error:
            renamed = new_names(config, overrides, str(error))
            line = without_guess(str(error)) if renamed else str(error)
            raise type(error)(f"stage {name}: {line}{renamed}") from error

    def read(self, config: Config, overrides: list[str]) -> tuple[Config, list[str]]:
        """What of a recipe is read: here all but what trains.

        Raises:
            RecipeError: for words of the command line that would change nothing.
            TrustError: for a class that may not be named, by its name alone.
        """
        trainer = config.get("trainer") or {}
        refuse_named([trainer, *(config.get(key) for key in _TRAINS)])
        for word in overrides:
            key = word.removeprefix("--").partition("=")[0]
            top, _, rest = key.partition(".")
            if top in _TRAINS or (top == "trainer" and rest not in _TRAINER):
                options = ", ".join(f"trainer.{name}" for name in _TRAINER)
                raise RecipeError(
                    f"--{key} is for training, and this model is trained. Of its kind are read: {options}."
                )
        kept = {key: value for key, value in config.items() if key not in _TRAINS}
        return {**kept, "trainer": {key: value for key, value in trainer.items() if key in _TRAINER}}, overrides

    def parsed(self, words: Sequence[str]) -> tuple[StageParser, Namespace]:
        """A parser with all options, and what it made of the words."""
        parser = StageParser(**StageParser.SETTINGS)
        parser.add_argument("--config", action="config", help="A configuration in YAML.")
        self.add_options(parser)
        return parser, plain_words(parser.parse_args(list(words)))

    def add_options(self, parser: StageParser) -> None:
        """Adds the options: the cohort, how it is loaded, the seed, further ones, the model and the data."""
        parser.add_class_arguments(Cohort, "cohort", fail_untyped=True, sub_configs=False)
        parser.add_class_arguments(Loading, "loading", fail_untyped=True, sub_configs=False)
        parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="Seed of weights, order and augmentation.")
        self.add_further(parser)
        parser.add_class_arguments(Task, "model", fail_untyped=False, instantiate=True, sub_configs=True)
        parser.add_argument("--data", type=Callable[[Cohort], CaseData], required=True, help="What a batch is.")

    def add_further(self, parser: StageParser) -> None:
        """Adds where the model computes."""
        parser.add_class_arguments(Computing, "trainer", fail_untyped=True, sub_configs=False)

    @property
    def seed(self) -> int:
        """Seed of weights, order and augmentation."""
        return int(self.config.seed)

    @property
    def computing(self) -> Computing:
        """Where the model computes, and how exactly."""
        return Computing(**{key: self.config.trainer[key] for key in _TRAINER})

    def dump(self, skip_default: bool = False) -> Config:
        """The resolved configuration, as plain data."""
        if skip_default not in self._dumped:
            # Not validated again: it was when it was parsed, and that takes as long as the rest.
            text = self.parser.dump(
                self.config, skip_unset=False, skip_default=skip_default, skip_validation=True, format="yaml"
            )
            plain = yaml.safe_load(text) or {}
            self._dumped[skip_default] = {key: value for key, value in plain.items() if key != "config"}
        return deepcopy(self._dumped[skip_default])

    def make_data(self) -> CaseData:
        """The stage's data module."""
        made = self.instantiate("cohort", "loading", "data", groups=True)
        cohort: Cohort = made.cohort
        if (cache := confined_cache(cohort.cache, self.file)) != cohort.cache:
            cohort = replace(cohort, cache=cache)
        data: CaseData = made.data(cohort.with_labels() if self.needs_labels else cohort)
        data.loading = made.loading
        return data

    @property
    def needs_labels(self) -> bool:
        """Whether the stage learns from labels, which its objective says or else its head."""
        model = self.config.model
        objective, head = _named_class(model.get("objective")), _named_class(model.get("head"))
        said = getattr(objective, "needs_labels", None)
        if said is not None:
            return bool(said)
        if head is None or not issubclass(head, Head):
            return True
        options = model.head.get("init_args")
        return not head.learns_from_all(vars(options) if options else {})

    def make_task(self, spec: DataSpec, stage_model: Callable[[str], Model]) -> Task:
        """The stage's task with a model for these sizes; `stage_model` answers for earlier stages."""
        with stage_loader(stage_model):  # an objective is built at once, the slots when the sizes are known
            return Task(**self.instantiate("model").model).build(spec, self.seed)

    def instantiate(self, *keys: str, groups: bool = False) -> Namespace:
        """Some keys of the configuration as objects.

        Args:
            keys: which.
            groups: whether they are groups of the parser, all but `Stage.groups` of which are built.

        Raises:
            RecipeError: if one cannot be built.
        """
        part = Namespace(**{key: self.config[key] for key in keys})  # type: ignore[no-untyped-call]
        unbuilt: list[Instantiator] = [(_nothing, kind, True) for kind in self.groups]
        try:
            with trusted_imports():
                made: Namespace = self.parser.instantiate(
                    part, instantiate_groups=groups, instantiators=unbuilt if groups else None
                )
                return made
        except PathfuseError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            reason = explain(str(error), self.parser)
            raise RecipeError(f"stage {self.name}: {keys[0]} cannot be built: {reason}") from error

    def _check_data(self) -> None:
        """Refuses a data module whose first argument is not the cohort.

        Raises:
            RecipeError: naming the data module.
        """
        kind = _named_class(self.config.get("data"))
        leading = next(iter(signature(kind).parameters.values()), None) if kind else None
        if kind and (leading is None or leading.name != "cohort" or leading.kind is leading.KEYWORD_ONLY):
            raise RecipeError(
                f"{kind.__name__} takes no cohort. The constructor of a data module is (cohort, *, ...): it is given "
                "the cases as its first argument, under that name."
            )


def _named_class(config: object) -> type | None:
    """The class that a part of the configuration names."""
    path = config.get("class_path") if isinstance(config, Namespace | dict) else None
    found = import_object(path) if isinstance(path, str) else None
    return found if isinstance(found, type) else None
