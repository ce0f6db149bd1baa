"""One run on disk: everything that is needed to test, load, resume and explain it, and what came out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathfuse.errors import RecipeError, RunError
from pathfuse.recipes.plain_yaml import Config, parse_yaml
from pathfuse.runs.checkpoints import CheckpointFiles
from pathfuse.runs.files import (
    CHECKPOINTS,
    COLUMNS,
    CONFIG,
    CURVES,
    LOCK,
    METRICS,
    PREDICTIONS,
    SPEC,
    SPLITS,
    VERSIONS,
    Lines,
)

# Torch and numpy are imported where they are needed: a worker of a study looks at run folders before it imports them.
if TYPE_CHECKING:
    from pathfuse.core import DataSpec
    from pathfuse.core.subsets import Shown
    from pathfuse.runs.predictions import PredictionFile, SubsetPredictions


def only_begun(path: Path) -> bool:
    """Whether a folder holds nothing but what a run writes before its recipe."""
    first = {SPEC, SPLITS, VERSIONS, LOCK}
    return all(
        file.name in first or file.name.startswith(tuple(f".{name}." for name in first)) for file in path.iterdir()
    )


@dataclass(frozen=True)
class RunFolder(CheckpointFiles):
    """A run, or the results of one on other cases, in a folder of their own."""

    @classmethod
    def create(cls, path: Path, *, trains: bool = False) -> RunFolder:
        """A new run; what was stopped before its recipe was written is replaced.

        Args:
            path: the folder.
            trains: whether whoever asks could go on with a run that is there.

        Raises:
            RunError: if something is there already, or the folder cannot be made.
        """
        if path.is_dir() and not only_begun(path):
            own = "It is no run: choose"
            if cls(path).begun:
                own = f"Continue it with: pathfuse fit --resume {path}, or choose" if trains else "It is a run: choose"
            raise RunError(f"{path} exists already. {own} another --out.")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made ({error.strerror}). Choose another --out.") from error
        return cls(path)

    @classmethod
    @contextmanager
    def claim(cls, path: Path) -> Iterator[RunFolder]:
        """A new folder for results; if the block fails before anything is written, the folder goes again."""
        run = cls.create(path)
        try:
            yield run
        except BaseException:
            with suppress(OSError):
                path.rmdir()
            raise

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A run that was trained, or was begun.

        Raises:
            RunError: if the folder holds no run.
        """
        run = cls(path)
        if not run.begun and path.is_dir() and any(path.iterdir()) and only_begun(path):
            raise RunError(
                f"{path} was stopped before its recipe was written, so there is nothing to go on with. Start it again: "
                f"pathfuse fit --recipe NAME --out {path}."
            )
        if not run.begun:
            raise RunError(f"{path} is no run folder: it has no {CONFIG}. `pathfuse fit` makes one.")
        return run

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> RunFolder | None:
        """The run that a checkpoint lies in, as `checkpoints/<stage>/<name>`; None for any other file."""
        stage = checkpoint.parent.resolve()  # the link to a file is followed by nobody else's run
        return cls(stage.parent.parent) if stage.parent.name == CHECKPOINTS else None

    @property
    def begun(self) -> bool:
        """Whether this is a whole run folder: its recipe is written last, before anything is trained."""
        return self.has(CONFIG)

    @property
    def name(self) -> str:
        """The recipe's name, or else the folder's."""
        first = self.text(CONFIG).partition("\n")[0]
        return first.removeprefix("# ").removesuffix(", resolved") if first.startswith("# ") else self.path.name

    @property
    def config_file(self) -> Path:
        """The resolved recipe, ready to be used as a recipe again."""
        return self.path / CONFIG

    @property
    def config(self) -> Config:
        """The resolved recipe; empty where there is none.

        Raises:
            RunError: if it cannot be read.
        """
        return self._once(CONFIG, self._parsed)

    def _parsed(self) -> Config:
        try:
            config = parse_yaml(self.text(CONFIG), str(self.config_file)) if self.begun else {}
        except RecipeError as error:
            raise RunError(str(error)) from error
        return self.held(CONFIG, config)

    @property
    def versions(self) -> dict[str, Any]:
        """What it was made with: versions, and hashes of recipe, cases, parts and predictions."""
        return self.json(VERSIONS)

    @property
    def shown(self) -> Shown:
        """What the model was given in training."""
        from pathfuse.core.subsets import Shown

        own = (self.versions.get(key) for key in ("given", "trained_on"))
        return Shown(*(None if one is None else tuple(one) for one in own))

    @property
    def fold(self) -> str:
        """Which fold of which file the parts are; empty where they are none."""
        own = self.versions
        if "splits_sha256" not in own:
            return ""
        return f"fold {own.get('fold')} of repeat {own.get('repeat')} of a file of folds"

    @property
    def splits(self) -> Lines:
        """Every case with its part."""
        return self.lines(SPLITS)

    @property
    def columns(self) -> Lines:
        """Site and further columns of the case table, for the cases that were tested or predicted."""
        return self.lines(COLUMNS)

    def specs(self) -> dict[str, DataSpec]:
        """What each stage was built for.

        Raises:
            RunError: if the file does not say it.
        """
        from pathfuse.core import DataSpec

        try:
            specs = {stage: DataSpec.from_json(json.dumps(spec)) for stage, spec in self.json(SPEC).items()}
        except (TypeError, KeyError):
            specs = {}
        if not specs:
            raise RunError(f"{self.path / SPEC} describes no data. Train again with another --out.")
        return specs

    def write_specs(self, specs: Mapping[str, DataSpec]) -> None:
        """Saves what each stage was built for, so that it can be rebuilt without the data."""
        self.write_json(SPEC, {stage: json.loads(spec.to_json()) for stage, spec in specs.items()})

    def curve(self, stage: str) -> Lines:
        """What was logged per epoch of a stage; empty where nothing was."""
        return self.lines(f"{CURVES}/{stage}.csv")

    def curves(self) -> dict[str, Lines]:
        """Per stage, in the order of training, what was logged per epoch."""
        stages = list(self.config.get("stages") or {})
        found = {file.stem: self.curve(file.stem) for file in sorted((self.path / CURVES).glob("*.csv"))}
        return dict(sorted(found.items(), key=lambda item: stages.index(item[0]) if item[0] in stages else len(stages)))

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """What the test measured, by subset of stains.

        Raises:
            RunError: if the file was edited.
        """
        return self.sealed_json(METRICS)

    @property
    def tested(self) -> bool:
        """Whether there are predictions."""
        return self.has(PREDICTIONS)

    @property
    def sealed(self) -> bool:
        """Whether there are predictions, and they are as they were written."""
        return self.holds_sealed(PREDICTIONS)

    def holds_sealed(self, name: str) -> bool:
        """Whether a text file is there, sealed, and as it was written."""
        return self.has(name) and self.seal.of(name) == self.sha256(name)

    @property
    def predictions(self) -> PredictionFile:
        """All that was predicted.

        Raises:
            RunError: if nothing was, the file was edited, or something in it is wrong.
        """
        return self._once(PREDICTIONS, self._read_predictions)

    @property
    def test_cases(self) -> dict[str, SubsetPredictions]:
        """Labelled test cases by subset of stains; all cases where they belong to no part."""
        return self.predictions.test_cases()

    @property
    def trained_cases(self) -> dict[str, SubsetPredictions]:
        """The test cases of the subsets that the model was trained to be given; of all where there is none of these."""
        cases = self.test_cases
        return {name: cases[name] for name in self.shown.trained(cases)}

    @property
    def fullest(self) -> str:
        """The subset with most stains among those that the model was trained to be given."""
        return self.shown.fullest(self.test_cases)

    def _read_predictions(self) -> PredictionFile:
        from pathfuse.runs.predictions import parse_predictions

        file = self.path / PREDICTIONS
        if not self.tested:
            raise RunError(f"{self.path} has no {PREDICTIONS}. Make it with `pathfuse test {self.path}`.")
        self.seal.check(PREDICTIONS, self.sha256(PREDICTIONS))
        return parse_predictions(self.content(PREDICTIONS), file)
