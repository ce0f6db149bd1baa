"""The run folder: everything that is needed to test, load, resume and explain a run, and what came out of it."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from pathfuse.core import DataSpec
from pathfuse.data.contract import CaseData
from pathfuse.cohort.split_rows import SplitRow
from pathfuse.errors import RunError
from pathfuse.system.files import atomic_text, write_text
from pathfuse.recipes.compose import Config, read_yaml, split_stages
from pathfuse.registry import components

LAST = "last.ckpt"
BEST = "best.ckpt"
VERSIONS = "versions.json"


@dataclass(frozen=True)
class RunFolder:
    """One run on disk.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new run.

        Raises:
            RunError: if something is there already, or the folder cannot be made.
        """
        if path.is_dir() and any(path.iterdir()):
            raise RunError(f"{path} exists already. Continue it with --resume {path}, or choose another --out.")
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
        """An existing run.

        Raises:
            RunError: if the folder holds no run.
        """
        run = cls(path)
        if not run.config_file.is_file():
            raise RunError(f"{path} is no run folder: it has no config.yaml. `pathfuse fit` makes one.")
        return run

    @property
    def config_file(self) -> Path:
        """The resolved recipe, ready to be used as a recipe again."""
        return self.path / "config.yaml"

    @property
    def state_file(self) -> Path:
        """Which stages are complete."""
        return self.path / "stages.json"

    def checkpoints(self, stage: str) -> Path:
        """Folder of a stage's checkpoints."""
        return self.path / "checkpoints" / stage

    def curves(self, stage: str) -> Path:
        """The training curves of a stage."""
        return self.path / "curves" / f"{stage}.csv"

    def selected(self, stage: str) -> Path:
        """The checkpoint that the stage hands on: the best on the validation part, or the last without one.

        Raises:
            RunError: if the stage has none yet.
        """
        for name in (BEST, LAST):
            if (self.checkpoints(stage) / name).is_file():
                return self.checkpoints(stage) / name
        raise RunError(
            f"{self.path} has no checkpoint of stage {stage}. Train it with `pathfuse fit --resume {self.path}`."
        )

    def unfinished(self, stage: str) -> Path | None:
        """Where to continue a stage that was interrupted; None if it has not begun."""
        last = self.checkpoints(stage) / LAST
        return last if last.is_file() else None

    def complete(self) -> list[str]:
        """Names of the stages that are trained to their end."""
        return list(self._json(self.state_file.name).get("complete", [])) if self.state_file.is_file() else []

    def mark_complete(self, stage: str) -> None:
        """Remembers that a stage needs no further training."""
        write_text(self.state_file, json.dumps({"complete": [*self.complete(), stage]}) + "\n")

    def write_specs(self, specs: dict[str, DataSpec]) -> None:
        """Saves what each stage was built for, so that it can be rebuilt without the data."""
        write_text(
            self.path / "spec.json", json.dumps({k: json.loads(s.to_json()) for k, s in specs.items()}, indent=2)
        )

    def data_options(self) -> set[str]:
        """The options that the run's data modules have."""
        config = read_yaml(self.config_file)
        stages = split_stages(config, str(self.config_file)).values()
        return {key for stage in stages for key in (stage.get("data") or {}).get("init_args") or {}}

    def specs(self) -> dict[str, DataSpec]:
        """What each stage was built for."""
        try:
            specs = {stage: DataSpec.from_json(json.dumps(spec)) for stage, spec in self._json("spec.json").items()}
        except (TypeError, KeyError):
            specs = {}
        if not specs:
            raise RunError(f"{self.path / 'spec.json'} describes no data. Train again with another --out.")
        return specs

    def versions(self) -> dict[str, Any]:
        """The content of `versions.json`."""
        return {"recipe_sha256": None, "cases_sha256": None, "given": None, **self._json(VERSIONS)}

    def seal_predictions(self) -> None:
        """Adds the hash of the predictions to `versions.json`, so that a comparison notices an edited file."""
        digest = hashlib.sha256((self.path / "predictions.csv").read_bytes()).hexdigest()
        content = {**self._json(VERSIONS), "predictions_sha256": digest}
        write_text(self.path / VERSIONS, json.dumps(content, indent=2) + "\n")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            result = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{self.path / name} cannot be read ({error}). Train again with another --out.") from error
        if not isinstance(result, dict):
            raise RunError(f"{self.path / name} holds no mapping. Train again with another --out.")
        return result

    def write_splits(self, rows: Iterable[SplitRow]) -> None:
        """Writes every case with its part."""
        with atomic_text(self.path / "splits.csv") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(SplitRow._fields)
            table.writerows(rows)


def seal_results(out: Path, checkpoint: Path, data: CaseData) -> None:
    """Writes beside predictions in a folder of their own what they were made with, and their hash.

    Args:
        out: the folder; that of a run has its own `versions.json`, which stays.
        checkpoint: what predicted; in a run folder it says by which recipe.
        data: the cases that were predicted.
    """
    if (out / VERSIONS).is_file():
        return
    run = RunFolder(checkpoint.resolve().parent.parent.parent)
    before = run.versions() if (run.path / VERSIONS).is_file() else None
    made_by = {"run": run.path.name, **{key: before[key] for key in ("recipe_sha256", "given")}} if before else {}
    content = {
        **_software(),
        **made_by,
        "checkpoint": f"{checkpoint.parent.name}/{checkpoint.name}",
        "cases_sha256": data.fingerprint(),
    }
    write_text(out / VERSIONS, json.dumps(content, indent=2) + "\n")
    RunFolder(out).seal_predictions()


def _software() -> dict[str, str]:
    return {
        "pathfuse": version("pathfuse"),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "python": platform.python_version(),
    }


def write_versions(run: RunFolder, config: Config, data: CaseData) -> None:
    """Writes what the run was made with: versions, and hashes of recipe, cases, split and folds."""
    text = yaml.safe_dump(config)
    used = {part.distribution for part in components() if part.class_path in text}
    content = {
        **_software(),
        "plugins": {name: version(name) for name in sorted(used) if name != "this session"},
        "recipe_sha256": recipe_hash(config),
        "cases_sha256": data.fingerprint(),
        "given": given_stains(config),
        **split_identity(data),
    }
    write_text(run.path / VERSIONS, json.dumps(content, indent=2) + "\n")


def given_stains(config: Config) -> list[str] | None:
    """The stains that the last stage's model is given; None where it is given all that cases have."""
    stage = list(split_stages(config, "the recipe").values())[-1]
    given = (stage.get("model") or {}).get("given")
    return None if given is None else [str(stain) for stain in given]


def split_identity(data: CaseData) -> dict[str, str | int]:
    """By what the cases were split: a hash of the parts and, where they are a fold of a file, which one of which."""
    parts = hashlib.sha256(repr(sorted(data.split_table())).encode()).hexdigest()
    folds = data.cohort.chosen_fold
    if folds is None:
        return {"split_sha256": parts}
    return {"split_sha256": parts, "splits_sha256": folds.sha256, "repeat": folds.repeat, "fold": folds.fold}


def recipe_hash(config: Config) -> str:
    """SHA-256 of a resolved recipe, independent of the order of keys and of comments."""
    return hashlib.sha256(yaml.safe_dump(config, sort_keys=True).encode()).hexdigest()
