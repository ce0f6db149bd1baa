"""One CSV for all stages of a run, which a resumed run goes on with."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import Logger

from pathfuse.runs.folder import RunFolder

METRICS = "logs/metrics.csv"
HYPERPARAMETERS = "logs/hparams.yaml"
_FIRST = ("stage", "epoch", "step")


class StageCSV(Logger):
    """Writes `logs/metrics.csv`: a row per stage, epoch and step, a column per number.

    Args:
        run: the run folder.
        stage: name of the stage.
    """

    def __init__(self, run: RunFolder, stage: str) -> None:
        super().__init__()
        self.run = run
        self.stage = stage

    @property
    def name(self) -> str:
        """Of the run."""
        return self.run.path.name

    @property
    def version(self) -> str:
        """One per run."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: object, **kwargs: object) -> None:
        """Writes the resolved recipe beside the numbers."""
        content = dict(vars(params) if isinstance(params, Namespace) else params)
        self.run.write(HYPERPARAMETERS, yaml.safe_dump(content, sort_keys=False))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds the numbers of a step; a step that was logged before is replaced, as when a run is resumed."""
        said = dict(metrics)
        epoch = said.pop("epoch", None)
        place = {"stage": self.stage, "epoch": "" if epoch is None else str(int(epoch)), "step": str(step or 0)}
        kind = {name.partition("/")[0] for name in said}
        rows = [
            row
            for row in self.run.lines(METRICS)
            if any(row[key] != place[key] for key in _FIRST) or not kind & _kinds(row)
        ]
        rows.append({**place, **{name: repr(float(value)) for name, value in said.items()}})
        names = list(dict.fromkeys((*_FIRST, *(name for row in rows for name in row))))
        self.run.write_lines(METRICS, names, ([row.get(name, "") for name in names] for row in rows))


def _kinds(row: Mapping[str, str]) -> set[str]:
    return {name.partition("/")[0] for name, cell in row.items() if cell and name not in _FIRST}


def csv_file(run: RunFolder) -> Path:
    """Where the numbers are."""
    return run.path / METRICS
