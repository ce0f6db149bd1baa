"""One stage of a recipe with what trains it: optimiser, schedule, loggers and Lightning's trainer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.loggers import Logger

from pathfuse.errors import RecipeError, TrustError
from pathfuse.inference.computing import refuse_whole
from pathfuse.inference.parsing.confined import confined, reaches_out
from pathfuse.inference.parsing.parser import StageParser
from pathfuse.inference.stage import Stage
from pathfuse.inference.task import Task
from pathfuse.recipes.plain_yaml import Config, plain_yaml
from pathfuse.training.callbacks import WholeFiles
from pathfuse.training.lightning_cli import StageCLI
from pathfuse.training.lightning_task import LightningTask
from pathfuse.training.loggers.build import logger_words
from pathfuse.training.means import LogsMeans
from pathfuse.training.steady.all_cases import refuse_partial_test
from pathfuse.training.steady.nodes import refuse_copies, refuse_endless_wait, refuse_other_number
from pathfuse.training.steady.options import Steady

DEFAULT_OPTIMIZER: Config = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4}}
# What Lightning would print or write beside the run folder, and what a few hundred cases do not need.
TRAINER_DEFAULTS: Config = {
    "logger": False,
    "enable_checkpointing": True,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}
_WORD = Literal["csv", "tensorboard", "wandb", "mlflow"]


class TrainingStage(Stage):
    """A stage of a recipe that is trained or tested.

    Args:
        name: of the stage, for messages.
        config: its part of the composed recipe.
        overrides: command-line words on top of it.

    Raises:
        RecipeError: if a key, class or value does not fit; names the stage.
    """

    groups: ClassVar[tuple[type, ...]] = (Task, Trainer)

    def read(self, config: Config, overrides: list[str]) -> tuple[Config, list[str]]:
        """Everything, with loggers by their words and an optimiser."""
        config, overrides = _named_loggers(config, overrides)
        # Not a default of the option: jsonargparse would carry AdamW's own defaults over to another optimiser.
        if not config.get("optimizer") and not any(word.startswith("--optimizer=") for word in overrides):
            config = {**config, "optimizer": DEFAULT_OPTIMIZER}
        return config, overrides

    def parsed(self, words: Sequence[str]) -> tuple[StageParser, Namespace]:
        """Lightning's parser with all options, and what it made of the words."""
        cli = StageCLI(words, self.add_options)
        return cli.parser, cli.config

    def add_further(self, parser: StageParser) -> None:
        """Adds what is averaged, loggers, optimiser, schedule and trainer."""
        parser.add_class_arguments(Steady, "steady", fail_untyped=True, sub_configs=False)
        parser.add_argument(
            "--logger",
            type=_WORD | list[_WORD] | None,
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
        parser.add_class_arguments(Trainer, "trainer", fail_untyped=False, instantiate=False, sub_configs=True)
        parser.set_defaults({f"trainer.{key}": value for key, value in TRAINER_DEFAULTS.items()})

    def refuse_reaching_out(self) -> None:
        """Refuses a recipe file that would write outside the run folder, or send over the network.

        Raises:
            TrustError: naming the key, and how a user says so.
        """
        for line in reaches_out(self.file):
            raise TrustError(f"stage {self.name}: {line}.")

    @property
    def loggers(self) -> list[str]:
        """The loggers that were named, by their words."""
        return [str(word) for word in _as_list(self.config.logger)]

    def in_lightning(self, task: Task) -> LightningTask:
        """A task of this stage as Lightning trains and tests it."""
        made = self.instantiate("optimizer", "lr_scheduler")
        return LightningTask(task, made.optimizer, made.lr_scheduler)

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
        try:
            refuse_whole(str(self.config.trainer.precision))
            refuse_partial_test(vars(self.config.trainer))
        except RecipeError as error:
            raise RecipeError(f"stage {self.name}: {error}") from error
        steady: Steady = self.instantiate("steady", groups=True).steady
        self.config = self.config.clone()
        self.config.trainer, whole = (
            confined(self.config.trainer, self.file, Path(default_root_dir)),
            self.config.trainer,
        )
        config = dict(self.instantiate("trainer").trainer)
        self.config.trainer = whole
        if loggers:
            own = config["logger"]
            config["logger"] = [*(_as_list(own) if own and own is not True else []), *loggers]
        refuse_endless_wait(config)
        if not validates:
            config["limit_val_batches"] = 0
        config["callbacks"] = [LogsMeans(), *_as_list(config["callbacks"]), *steady.callbacks(), *callbacks]
        config["plugins"] = [*_as_list(config["plugins"]), WholeFiles()]
        try:
            trainer = Trainer(**{**config, "default_root_dir": default_root_dir})
        except (TypeError, ValueError, RuntimeError, ImportError, LookupError, MisconfigurationException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise RecipeError(f"stage {self.name}: trainer cannot be built: {reason}") from error
        refuse_other_number(trainer)
        refuse_copies(trainer)
        return trainer


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


def _as_list(value: object) -> list[object]:
    return [] if value is None else value if isinstance(value, list) else [value]


def print_options() -> None:
    """Prints every option that a stage has, with the components that are imported."""
    with suppress(SystemExit):
        TrainingStage("help", {}, ["--help"])
