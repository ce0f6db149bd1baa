"""The files of a run by name, and a folder of text files, each of which is read once."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.system.csv_table import read_csv
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import write_text
from pathfuse.system.reading import LARGEST, parse_json, read_whole

CONFIG = "config.yaml"
LOCK = ".lock"
SPEC = "spec.json"
VERSIONS = "versions.json"
SPLITS = "splits.csv"
STAGES = "stages.json"
CHECKPOINTS = "checkpoints"
CURVES = "curves"
LOGS = "logs"
PROGRESS = "progress.json"
PREDICTIONS = "predictions.csv"
METRICS = "metrics.json"
MODALITIES = "modalities.json"
CALIBRATION = "calibration.json"
RELIABILITY = "reliability.csv"
RISK_COVERAGE = "risk_coverage.csv"
COHORT = "cohort.json"
COLUMNS = "columns.csv"
WEIGHTS = "weights.json"
EXAMPLES = "examples"
BY_CASE = "by_case"
PANELS = "panels"
EXPLANATION = "explain/explain.json"
"""What a study's step of explaining writes."""

Lines = list[dict[str, str]]
"""The lines of a CSV file, by column."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class TextFiles:
    """A folder of text files; what was read or written once is not read again.

    Attributes:
        path: the folder.
    """

    path: Path
    _bytes: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._bytes or (self.path / name).is_file()

    def most(self, name: str) -> int:
        """Bytes that a file may have."""
        return LARGEST

    def content(self, name: str) -> bytes:
        """The bytes of a file; none if it is not there.

        Raises:
            RunError: if it cannot be read.
        """
        if name not in self._bytes:
            path = self.path / name
            if not path.is_file():
                return b""
            try:
                self._bytes[name] = read_whole(path, most=self.most(name))
            except OSError as error:
                raise self.damaged(name, error) from error
        return self._bytes[name]

    def text(self, name: str) -> str:
        """A text file; empty if it is not there.

        Raises:
            RunError: if it is no text.
        """
        try:
            return self.content(name).decode()
        except UnicodeDecodeError as error:
            raise self.damaged(name, error) from error

    def json(self, name: str) -> dict[str, Any]:
        """A mapping; empty if the file is not there.

        Raises:
            RunError: if it is there and is none.
        """
        return self._once(name, lambda: self._mapping(name) if self.has(name) else {})

    def lines(self, name: str) -> Lines:
        """The lines of a CSV file; empty if there is none.

        Raises:
            RunError: if it is no table.
        """
        return list(read_csv(self.path / name, content=self.content(name))) if self.has(name) else []

    def write(self, name: str, text: str) -> None:
        """Replaces a text file."""
        write_text(self.path / name, text)
        self._bytes[name] = text.encode()
        self._made.pop(name, None)

    def write_json(self, name: str, content: object) -> None:
        """Replaces a JSON file."""
        self.write(name, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_lines(self, name: str, columns: Sequence[str], lines: Iterable[Iterable[object]]) -> None:
        """Replaces a CSV file."""
        text = io.StringIO()
        table = CsvWriter(text, lineterminator="\n")
        table.writerow(columns)
        table.writerows(lines)
        self.write(name, text.getvalue())

    def damaged(self, name: str, error: Exception) -> RunError:
        """What is raised for a file that cannot be read."""
        return cannot_be_read(RunError, self.path / name, error, "Restore the file.")

    def _mapping(self, name: str) -> dict[str, Any]:
        try:
            content = parse_json(self.text(name))
        except ValueError as error:
            raise self.damaged(name, error) from error
        if not isinstance(content, dict):
            raise RunError(f"{self.path / name} holds no mapping. Restore the file.")
        return content

    def _once(self, name: str, make: Callable[[], Made]) -> Made:
        """What is made of a file, until the file is written again."""
        if name not in self._made:
            self._made[name] = make()
        made: Made = self._made[name]
        return made


def folders_with(name: str, below: Path, depths: range) -> list[Path]:
    """The folders that hold a file of this name, at the shallowest depth that has some; sorted.

    Below a fold there may be tests on other cohorts, which are no folds.
    """
    for depth in depths:
        if found := sorted(file.parent for file in below.glob("/".join([*["*"] * depth, name]))):
            return found
    return []


def number(text: object) -> float | None:
    """A cell as a finite number; None where it holds none."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if isfinite(value) else None
