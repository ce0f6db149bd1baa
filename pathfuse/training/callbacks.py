"""Callbacks of training: checkpoints and the split they were trained by, curves, a line for every epoch."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pathfuse.data.contract import CaseData
from pathfuse.errors import RunError
from pathfuse.inference.versions import split_identity
from pathfuse.runs.files import CURVES, PROGRESS
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.seal import digest_of

PROGRESS_S = 1.0
SPLIT = "pathfuse_split"
"""Key of a checkpoint."""


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all; Lightning moves them over from another disk.

    Attributes:
        digests: SHA-256 of every file as it was written, by its path.
    """

    def __init__(self) -> None:
        super().__init__()
        self.digests: dict[Path, str] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Writes beside the file and takes its place.

        Raises:
            RunError: if the folder cannot be written to or the disk is full.
        """
        temporary = Path(path).with_name(f".{Path(path).name}.{os.getpid()}")
        try:
            super().save_checkpoint(checkpoint, temporary, storage_options)
            with temporary.open("rb") as file:
                self.digests[Path(path).resolve()] = digest_of(file)
            temporary.replace(path)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise RunError(
                f"{path} cannot be written ({reason}). Free space, then go on: pathfuse fit --resume "
                f"{Path(path).parent.parent.parent}"
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink()


class NamesSplit(Callback):
    """Writes the hashes of the split into every checkpoint, as plain text; loading a checkpoint does not read them.

    Args:
        data: the cases of the stage.
    """

    def __init__(self, data: CaseData) -> None:
        self.identity = {**split_identity(data), "cases_sha256": data.fingerprint()}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the key."""
        checkpoint[SPLIT] = dict(self.identity)


class Curves(Callback):
    """Writes every logged number of every epoch to one CSV, with the optimiser steps made so far.

    A resumed run goes on where the last epoch ended.

    Args:
        run: the run folder.
        stage: name of the stage.
    """

    def __init__(self, run: RunFolder, stage: str) -> None:
        self.run = run
        self.stage = stage
        self.epochs: list[dict[str, float]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes up the epochs that are finished."""
        epochs = [{key: float(value) for key, value in row.items() if value} for row in self.run.curve(self.stage)]
        self.epochs = [epoch for epoch in epochs if epoch["epoch"] < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the epoch and replaces the file."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
            done = {"epoch": float(trainer.current_epoch), "steps": float(trainer.global_step)}
            self.epochs.append({**done, **metrics})
            names = sorted({name for epoch in self.epochs for name in epoch} - set(done))
            lines = (
                [*(int(epoch[name]) for name in done), *(epoch.get(name, "") for name in names)]
                for epoch in self.epochs
            )
            self.run.write_lines(f"{CURVES}/{self.stage}.csv", [*done, *names], lines)


class ProgressFile(Callback):
    """Says in the run folder how far a stage is, from the first batch on, for whoever started many runs.

    Args:
        run: the run folder.
        stage: name of the stage.
    """

    def __init__(self, run: RunFolder, stage: str) -> None:
        self.run = run
        self.stage = stage
        self.written = float("-inf")

    def on_train_batch_end(self, trainer: Trainer, *args: object) -> None:
        """Writes it, once in a while."""
        now = time.monotonic()
        if trainer.is_global_zero and now - self.written >= PROGRESS_S:
            self.written = now
            batches = int(trainer.num_training_batches)
            place = {"epoch": trainer.current_epoch + 1, "epochs": trainer.max_epochs, "batches": batches}
            content = {"stage": self.stage, "batch": trainer.fit_loop.batch_idx + 1, **place}
            with suppress(OSError):  # it is for show
                self.run.write_json(PROGRESS, content)


class EpochLines(Callback):
    """A bar over the batches on a terminal, and a line for every epoch.

    Args:
        stage: name of the stage.
        console: where to print.
        shown: the validation metric that selects, printed beside the loss.
    """

    def __init__(self, stage: str, console: Console, shown: str | None) -> None:
        self.stage = stage
        self.console = console
        self.shown = shown
        self.began = 0.0
        self.progress: Progress | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the bar."""
        if self.console.is_terminal and trainer.is_global_zero:
            self.progress = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=self.console, transient=True,
            )  # fmt: skip
            self.progress.start()
            total = (trainer.max_epochs or 0) * int(trainer.num_training_batches)
            self.progress.add_task(self.stage, total=total or None, completed=trainer.global_step)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock of the epoch."""
        self.began = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *args: object) -> None:
        """Moves the bar."""
        if self.progress is not None:
            self.progress.advance(self.progress.task_ids[0])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the epoch."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        names = ["train/loss", "val/loss", *([self.shown] if self.shown not in (None, "val/loss") else [])]
        numbers = "  ".join(f"{name} {float(metrics[name]):.4f}" for name in names if name in metrics)
        epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        seconds = time.monotonic() - self.began
        self.console.print(f"{self.stage}  epoch {epoch}  {numbers}  {seconds:.1f} s", highlight=False, soft_wrap=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Removes the bar."""
        if self.progress is not None:
            self.progress.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Removes the bar when training stops early."""
        self.on_train_end(trainer, pl_module)
