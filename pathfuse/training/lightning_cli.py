"""The LightningCLI of one stage: Lightning's parser of the trainer, with the options that a stage adds to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from pathfuse.inference.parsing.parser import StageParser, plain_words
from pathfuse.training.lightning_task import LightningTask

AddOptions = Callable[[StageParser], None]


class TrainingParser(StageParser, LightningArgumentParser):
    """Lightning's parser, with the errors of a stage's."""


class StageCLI(LightningCLI):
    """Parses a stage that is trained, and builds nothing: other stages are still to be parsed.

    Args:
        words: of the command line, a configuration among them.
        add_options: adds the options of the stage to a parser.

    Attributes:
        parser: with all options.
        config: what was said, parsed.

    Raises:
        RecipeError: if a key, class or value does not fit.
    """

    parser: TrainingParser

    def __init__(self, words: Sequence[str], add_options: AddOptions) -> None:
        self._add_options = add_options
        super().__init__(
            LightningTask,
            save_config_callback=None,
            seed_everything_default=False,
            parser_class=TrainingParser,
            parser_kwargs=StageParser.SETTINGS,
            args=list(words),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds nothing: the seed is an option of the stage."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the options of the stage, its trainer, model and data among them."""
        assert isinstance(parser, TrainingParser)
        self._add_options(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses without Lightning's warning about `sys.argv`, which belongs to the front door."""
        self.config = plain_words(parser.parse_args(list(args or [])))

    def _set_seed(self) -> None:
        """Seeds are set when the model is built and at every epoch."""

    def instantiate_classes(self) -> None:
        """Nothing is built while other stages are still to be parsed."""
