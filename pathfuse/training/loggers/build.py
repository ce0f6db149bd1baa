"""Loggers by one word: the same version for all stages of a run, with the stages told apart by a prefix."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from pathfuse.errors import RecipeError
from pathfuse.runs.files import LOGS
from pathfuse.runs.folder import RunFolder
from pathfuse.training.loggers.csv_file import StageCSV

_PACKAGES = {
    "csv": (),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
"""Per word, the packages of which one has to be installed."""
_CLASSES = {"CSVLogger": "csv", "TensorBoardLogger": "tensorboard", "WandbLogger": "wandb", "MLFlowLogger": "mlflow"}
WORDS = tuple(_PACKAGES)
_RUN_ID = f"{LOGS}/mlflow_run_id"


def logger_words(value: object) -> list[str]:
    """The words that `csv`, `csv,wandb`, `CSVLogger` or a list of them mean; none if one of them is no word."""
    said = value.split(",") if isinstance(value, str) else value
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        return []
    words = [_CLASSES.get(one.strip().rpartition(".")[2], one.strip().lower()) for one in said]
    return words if all(word in _PACKAGES for word in words) else []


def check_loggers(words: Sequence[str]) -> None:
    """Refuses loggers whose package is not installed.

    Raises:
        RecipeError: naming the package.
    """
    for word in words:
        packages = _PACKAGES[word]
        if packages and not any(find_spec(package) for package in packages):
            raise RecipeError(
                f"logger {word} needs the package {packages[0]}: pip install {packages[0]}. `csv` needs none."
            )


def run_loggers(words: Sequence[str], run: RunFolder, stage: str) -> list[Logger]:
    """The loggers of a stage; those of all stages of a run write to one version of it."""
    made: dict[str, Callable[[RunFolder, str], Logger]] = {
        "csv": StageCSV,
        "tensorboard": _tensorboard,
        "wandb": _wandb,
        "mlflow": _mlflow,
    }
    return [made[word](run, stage) for word in words]


def log_recipe(loggers: Sequence[Logger], config: dict[str, Any]) -> None:
    """Tells loggers the hyper-parameters: the resolved recipe with dotted keys."""
    for logger in loggers:
        logger.log_hyperparams(config)


def log_test(loggers: Sequence[Logger], metrics: dict[str, dict[str, float | None]]) -> None:
    """Tells loggers what the test measured, per subset of stains, as `test/he/balanced_accuracy`."""
    flat = {
        f"test/{subset}/{name.removeprefix('test/')}": float(value)
        for subset, own in metrics.items()
        for name, value in own.items()
        if value is not None
    }
    for logger in loggers if flat else ():
        logger.log_metrics(flat, step=0)
        logger.save()
        logger.finalize("success")


def _tensorboard(run: RunFolder, stage: str) -> Logger:
    return TensorBoardLogger(run.path / LOGS, name="tensorboard", version="", prefix=stage, default_hp_metric=False)


def _wandb(run: RunFolder, stage: str) -> Logger:
    folder = run.path / LOGS
    folder.mkdir(parents=True, exist_ok=True)
    identity = hashlib.sha256(run.text("versions.json").encode()).hexdigest()[:16]
    return WandbLogger(
        name=run.path.name, project="pathfuse", save_dir=folder, id=identity, resume="allow", prefix=stage
    )


def _mlflow(run: RunFolder, stage: str) -> Logger:
    where = os.environ.get("MLFLOW_TRACKING_URI") or f"file:{(run.path / LOGS / 'mlruns').absolute()}"
    # Files in the run folder need no database; MLflow 3 asks for this word before it writes any.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    known = run.text(_RUN_ID).strip() or None
    logger = MLFlowLogger(
        experiment_name=run.name, run_name=run.path.name, tracking_uri=where, prefix=stage, run_id=known
    )
    if known is None:
        run.write(_RUN_ID, f"{logger.run_id}\n")
    return logger
