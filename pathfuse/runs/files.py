"""What a run folder holds, read for its report; whatever is not there is None or empty."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from pathfuse.errors import RunError
from pathfuse.core.subsets import as_trained
from pathfuse.runs.predictions import PREDICTIONS, PredictionFile, SubsetPredictions, read_predictions

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class RunFiles:
    """A run folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def open(cls, path: Path) -> RunFiles:
        """A run, or the folder of a test on other cases.

        Raises:
            RunError: if it holds no predictions, or they were edited.
        """
        run = cls(path)
        if not (path / PREDICTIONS).is_file():
            raise RunError(f"{path} has no {PREDICTIONS}, so there is nothing to report. Make it with `pathfuse test`.")
        sealed = run.versions.get("predictions_sha256")
        if sealed and hashlib.sha256((path / PREDICTIONS).read_bytes()).hexdigest() != sealed:
            raise RunError(
                f"{path / PREDICTIONS} is not the file that the run wrote: its SHA-256 differs from versions.json. "
                f"Restore it, or predict again with `pathfuse test {path}`."
            )
        return run

    @property
    def name(self) -> str:
        """The recipe's name, or else the folder's."""
        first = self.text("config.yaml").partition("\n")[0]
        return first.removeprefix("# ").removesuffix(", resolved") if first.startswith("# ") else self.path.name

    @cached_property
    def predictions(self) -> PredictionFile:
        """All that was predicted."""
        return read_predictions(self.path / PREDICTIONS)

    @cached_property
    def tested(self) -> dict[str, SubsetPredictions]:
        """Labelled test cases by subset of stains; all cases where they belong to no part."""
        found = {}
        for subset, own in self.predictions.subsets.items():
            part = own.of_part("test") if any(own.parts) else own
            if part.case_ids:
                found[subset] = part
        return found

    @property
    def fullest(self) -> str:
        """The subset with most stains among those that the model was trained to be given."""
        return as_trained(self.tested, self.versions.get("given"))

    @cached_property
    def metrics(self) -> Mapping[str, Mapping[str, float | None]]:
        """`metrics.json`."""
        return self.json("metrics.json")

    @property
    def metrics_sha256(self) -> str:
        """SHA-256 of `metrics.json`."""
        return hashlib.sha256(self.text("metrics.json").encode()).hexdigest()

    @cached_property
    def versions(self) -> Mapping[str, Any]:
        """`versions.json`."""
        return self.json("versions.json")

    @property
    def fold(self) -> str:
        """Which fold of which file the parts are; empty where they are none."""
        own = self.versions
        if "splits_sha256" not in own:
            return ""
        return f"fold {own.get('fold')} of repeat {own.get('repeat')} of a file of folds"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved recipe."""
        try:
            content = yaml.safe_load(self.text("config.yaml"))
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())  # of several lines, with a picture of the place
            raise RunError(f"{self.path / 'config.yaml'} cannot be read ({reason}). Restore the file.") from error
        return content if isinstance(content, dict) else {}

    def curves(self) -> dict[str, Rows]:
        """Per stage, what was logged per epoch."""
        stages = list(self.config.get("stages") or {})
        found = {file.stem: self.rows(f"curves/{file.name}") for file in sorted((self.path / "curves").glob("*.csv"))}
        return dict(sorted(found.items(), key=lambda item: stages.index(item[0]) if item[0] in stages else len(stages)))

    def text(self, name: str) -> str:
        """A text file of the folder; empty if there is none."""
        path = self.path / name
        if not path.is_file():
            return ""
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path} cannot be read ({error}). Restore the file.") from error

    def json(self, name: str) -> dict[str, Any]:
        """A mapping; empty if the file is not there.

        Raises:
            RunError: if it is there and is none.
        """
        text = self.text(name)
        try:
            content = json.loads(text) if text else {}
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.path / name} cannot be read ({error}). Restore the file.") from error
        if not isinstance(content, dict):
            raise RunError(f"{self.path / name} holds no mapping. Restore the file.")
        return content

    def rows(self, name: str) -> Rows:
        """The lines of a CSV file; empty if there is none."""
        lines = self.text(name).splitlines()
        return [{key: value or "" for key, value in row.items() if key} for row in csv.DictReader(lines)]


def number(text: object) -> float | None:
    """A cell as a finite number; None where it holds none."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if isfinite(value) else None
