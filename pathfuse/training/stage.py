"""One stage of a recipe as a LightningCLI: parsed at once, built and trained later.

All stages of a recipe are parsed before the first trains, so that an error in the second appears at once. What
LightningCLI would do in its constructor (seed, build, run) is therefore split off into methods.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from enum import Enum
from inspect import signature
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
import yaml
from jsonargparse import Namespace
from jsonargparse._util import import_object
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import (
    ArgsType,
    LightningArgumentParser,
    LightningCLI,
    LRSchedulerCallable,
    OptimizerCallable,
)
from lightning.pytorch.loggers import Logger

from pathfuse.cohort import Cohort
from pathfuse.core import DataSpec, Head, Model, stage_loader
from pathfuse.data.contract import CaseData
from pathfuse.data.loading.options import Loading
from pathfuse.errors import PathfuseError, RecipeError, TrustError
from pathfuse.recipes.compose import without_typed
from pathfuse.recipes.plain_yaml import Config, OddScalar, plain_yaml
from pathfuse.recipes.renamed import new_names
from pathfuse.training.callbacks import WholeFiles
from pathfuse.training.loggers.build import logger_words
from pathfuse.training.messages import explain
from pathfuse.training.steady.nodes import refuse_endless_wait, refuse_other_number
from pathfuse.training.steady.options import Steady
from pathfuse.training.task import Task
from pathfuse.training.trust.classes import check_classes, trusted_imports
from pathfuse.training.trust.confined import confined, confined_cache, reaches_out

DEFAULT_OPTIMIZER: Config = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4}}
DEFAULT_SEED = 7
USAGE = "%(prog)s fit --recipe NAME [--key.subkey VALUE ...] [--STAGE.key.subkey VALUE ...]"
# What Lightning would print or write beside the run folder, and what a few hundred cases do not need.
TRAINER_DEFAULTS: Config = {
    "logger": False,
    "enable_checkpointing": True,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}


WHOLE = ("16-true", "bf16-true", "64-true", "64", "transformer-engine", "transformer-engine-float16")
"""Precisions in which nothing stays in single precision, labels and probabilities among it."""
Instantiator = tuple[Callable[..., None], type, bool]


def _nothing(kind: type, *args: object, **options: object) -> None:
    """Stands for a part that is not to be built."""


# Cohort, loading and steady are groups of the parser, and so are model and trainer, which are not built with them.
_WITHOUT_MODEL: list[Instantiator] = [(_nothing, Task, True), (_nothing, Trainer, True)]


class StageParser(LightningArgumentParser):
    """A parser whose errors are one line with the key, the reason and a guess."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises what the parser found as a RecipeError."""
        raise RecipeError(explain(message, self)) from ex


class StageCLI(LightningCLI):
    """The LightningCLI of one stage.

    Args:
        name: of the stage, for messages.
        config: its part of the composed recipe.
        overrides: command-line words on top of it.

    Raises:
        RecipeError: if a key, class or value does not fit; names the stage.
    """

    def __init__(self, name: str, config: Config, overrides: list[str]) -> None:
        self.name = name
        self._dumped: dict[bool, Config] = {}
        _refuse_odd(name, overrides)
        self.file = without_typed(config, overrides)
        config, overrides = _named_loggers(config, overrides)
        # Not a default of the option: jsonargparse would carry AdamW's own defaults over to another optimiser.
        if not config.get("optimizer") and not any(word.startswith("--optimizer=") for word in overrides):
            config = {**config, "optimizer": DEFAULT_OPTIMIZER}
        try:
            super().__init__(
                Task,
                save_config_callback=None,
                seed_everything_default=False,
                parser_class=StageParser,
                parser_kwargs={"allow_abbrev": False, "usage": USAGE, "description": "Options of every stage:"},
                args=["--config", yaml.safe_dump(config), *overrides],
                run=False,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
            check_classes(self.config)
            self._check_data()
        except PathfuseError as error:
            renamed = new_names(config, overrides, str(error))
            raise type(error)(f"stage {name}: {error}{renamed}") from error

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what a stage has besides model, data and trainer: the cohort, how it is loaded, what is averaged."""
        parser.add_class_arguments(Cohort, "cohort", fail_untyped=True, sub_configs=False)
        parser.add_class_arguments(Loading, "loading", fail_untyped=True, sub_configs=False)
        parser.add_class_arguments(Steady, "steady", fail_untyped=True, sub_configs=False)
        parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="Seed of weights, order and augmentation.")
        parser.add_argument(
            "--logger",
            type=Literal["csv", "tensorboard", "wandb", "mlflow"]
            | list[Literal["csv", "tensorboard", "wandb", "mlflow"]]
            | None,
            default=None,
            help="Where curves, hyper-parameters and test metrics go besides the run folder's own files.",
        )
        parser.add_argument(
            "--optimizer",
            type=OptimizerCallable | None,
            default=None,
            help="Optimiser; AdamW at 1e-4 if none is named.",
        )
        parser.add_argument(
            "--lr_scheduler", type=LRSchedulerCallable | None, default=None, help="Learning-rate schedule, per epoch."
        )

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds trainer and model as Lightning does, and data as a slot that is filled with the cohort."""
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{key}": value for key, value in TRAINER_DEFAULTS.items()})
        parser.add_lightning_class_args(Task, "model")
        parser.add_argument("--data", type=Callable[[Cohort], CaseData], required=True, help="What a batch is.")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses without Lightning's warning about `sys.argv`, which belongs to the front door."""
        self.config = _plain_words(parser.parse_args(list(args or [])))

    def _set_seed(self) -> None:
        """Seeds are set when the model is built and at every epoch."""

    def instantiate_classes(self) -> None:
        """Nothing is built while other stages are still to be parsed."""

    @property
    def seed(self) -> int:
        """Seed of weights, order and augmentation."""
        return int(self.config.seed)

    def refuse_reaching_out(self) -> None:
        """Refuses a recipe file that would write outside the run folder, or send over the network.

        Raises:
            TrustError: naming the key, and how a user says so.
        """
        for line in reaches_out(self.file):
            raise TrustError(f"stage {self.name}: {line}.")

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
        made = self._instantiate("cohort", "loading", "data", instantiators=_WITHOUT_MODEL)
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

    def make_task(self, spec: DataSpec, stage_model: Callable[[str], Model]) -> Task:
        """The stage's task with a model for these sizes; `stage_model` answers for earlier stages."""
        with stage_loader(stage_model):  # an objective is built at once, the slots when the sizes are known
            made = self._instantiate("model", "optimizer", "lr_scheduler")
            task = Task(**made.model)
            task.optimizer_factory = made.optimizer
            task.scheduler_factory = made.lr_scheduler
            return task.build(spec, self.seed)

    @property
    def loggers(self) -> list[str]:
        """The loggers that were named, by their words."""
        return [str(word) for word in _as_list(self.config.logger)]

    def make_trainer(
        self,
        callbacks: list[Callback],
        default_root_dir: str,
        validates: bool = True,
        loggers: Sequence[Logger] = (),
    ) -> Trainer:
        """The stage's trainer, with further callbacks and loggers.

        Args:
            callbacks: besides those of the recipe.
            default_root_dir: where Lightning writes what nobody named a place for.
            validates: False where there is no validation part.
            loggers: besides that of the recipe.
        """
        if str(self.config.trainer.precision) in WHOLE:
            raise RecipeError(
                f"stage {self.name}: trainer.precision {self.config.trainer.precision} converts data and losses as "
                "well. Use 32-true, bf16-mixed or 16-mixed."
            )
        steady: Steady = self._instantiate("steady", instantiators=_WITHOUT_MODEL).steady
        self.config = self.config.clone()
        self.config.trainer, whole = (
            confined(self.config.trainer, self.file, Path(default_root_dir)),
            self.config.trainer,
        )
        config = dict(self._instantiate("trainer").trainer)
        self.config.trainer = whole
        if loggers:
            own = config["logger"]
            config["logger"] = [*(_as_list(own) if own and own is not True else []), *loggers]
        refuse_endless_wait(config)
        if not validates:
            config["limit_val_batches"] = 0
        config["callbacks"] = [*_as_list(config["callbacks"]), *steady.callbacks(), *callbacks]
        config["plugins"] = [*_as_list(config["plugins"]), WholeFiles()]
        try:
            trainer = Trainer(**{**config, "default_root_dir": default_root_dir})
        except (TypeError, ValueError, RuntimeError, ImportError, LookupError, MisconfigurationException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise RecipeError(f"stage {self.name}: trainer cannot be built: {reason}") from error
        refuse_other_number(trainer)
        return trainer

    def _instantiate(self, *keys: str, instantiators: list[Instantiator] | None = None) -> Namespace:
        part = Namespace(**{key: self.config[key] for key in keys})  # type: ignore[no-untyped-call]
        try:
            with trusted_imports():
                made: Namespace = self.parser.instantiate(
                    part, instantiate_groups=instantiators is not None, instantiators=instantiators
                )
                return made
        except PathfuseError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            reason = explain(str(error), self.parser)
            raise RecipeError(f"stage {self.name}: {keys[0]} cannot be built: {reason}") from error


def _named_loggers(config: Config, overrides: list[str]) -> tuple[Config, list[str]]:
    """The same with `trainer.logger: csv` as `logger: csv`: where they write is the run's affair."""
    said, words = logger_words((config.get("trainer") or {}).get("logger")), []
    if said:
        trainer = {key: value for key, value in config["trainer"].items() if key != "logger"}
        config = {**config, "trainer": trainer, "logger": said}
    for word in overrides:
        key, _, value = word.partition("=")
        named = logger_words(plain_yaml(value)) if key in ("--trainer.logger", "--logger") else []
        words.append(f"--logger={json.dumps(named)}" if named else word)
    return config, words


def _refuse_odd(name: str, overrides: list[str]) -> None:
    """Refuses words of the command line that look like a number or a date and are none."""
    for word in overrides:
        key, _, value = word.partition("=")
        try:
            plain_yaml(value)
        except OddScalar as error:
            raise RecipeError(f"stage {name}: {key}: {error.problem}.") from error
        except yaml.YAMLError:
            continue  # a word as it is; the type of the option decides


def _named_class(config: object) -> type | None:
    """The class that a part of the configuration names."""
    path = config.get("class_path") if isinstance(config, Namespace | dict) else None
    found = import_object(path) if isinstance(path, str) else None
    return found if isinstance(found, type) else None


def _plain_words(value: Any) -> Any:  # noqa: ANN401 - a tree of parsed values
    """The same with words for Lightning's enumerations and torch's devices, which cannot be written down."""
    if isinstance(value, Namespace):
        for key, inner in vars(value).items():
            setattr(value, key, _plain_words(inner))
    if isinstance(value, list):
        return [_plain_words(one) for one in value]
    if isinstance(value, str) and isinstance(value, Enum):
        return str(value.value)
    return str(value) if isinstance(value, torch.device) else value


def _as_list(value: object) -> list[object]:
    return [] if value is None else value if isinstance(value, list) else [value]


def print_options() -> None:
    """Prints every option that a stage has, with the components that are imported."""
    with suppress(SystemExit):
        StageCLI("help", {}, ["--help"])
