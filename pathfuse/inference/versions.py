"""The origin of a run: versions of the software, and hashes of recipe, cases and parts."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch
import yaml

from pathfuse.core.subsets import combinations_shown
from pathfuse.data.contract import CaseData
from pathfuse.inference.task import Task
from pathfuse.recipes.plain_yaml import Config
from pathfuse.registry import software_of
from pathfuse.runs.files import METRICS, PREDICTIONS, VERSIONS
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.sources import MADE_IN


def write_versions(run: RunFolder, config: Config, data: CaseData, task: Task) -> None:
    """Writes what a run is made with: versions, what the model is given, and hashes of recipe, cases, split and folds.

    Args:
        run: the folder.
        config: the resolved recipe.
        data: the cases of the last stage.
        task: the last stage.
    """
    text = yaml.safe_dump(config)
    content = {
        **_software(),
        **software_of(text),
        "recipe_sha256": recipe_hash(config),
        "cases_sha256": data.fingerprint(),
        "cases_sha256_covers": "ids, labels and parts of cases, names and sizes of files",
        "given": task.given,
        "trained_on": _combinations(data, task),
        # Relative, so that it holds where both are moved, and says nothing about the machine.
        MADE_IN: os.path.relpath(os.curdir, run.path),
        **split_identity(data),
    }
    run.write_json(VERSIONS, content)


def seal_results(out: RunFolder, checkpoint: Path, data: CaseData, config: Config) -> None:
    """Writes beside predictions what they were made with, and seals them.

    Args:
        out: holds the predictions; what a run says of itself stays.
        checkpoint: what predicted; in a run folder it says by which recipe.
        data: the cases that were predicted.
        config: the resolved recipe.
    """
    if not out.has(VERSIONS):
        content = {
            **_software(),
            **_made_by(checkpoint, config),
            "checkpoint": f"{checkpoint.parent.name}/{checkpoint.name}",
            "cases_sha256": data.fingerprint(),
        }
        out.write_json(VERSIONS, content)
    out.seal_files(PREDICTIONS, METRICS)


def _made_by(checkpoint: Path, config: Config) -> dict[str, object]:
    """The run behind a checkpoint; nothing where it lies in none."""
    run = RunFolder.of_checkpoint(checkpoint)
    if run is None or not run.has(VERSIONS):
        return {}
    same = ("recipe_sha256", "given", "trained_on")
    kept = {key: run.versions.get(key) for key in same}
    return {**software_of(yaml.safe_dump(config)), "run": run.path.name, **kept}


def _software() -> dict[str, str]:
    return {
        "pathfuse": version("pathfuse"),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "python": platform.python_version(),
    }


def _combinations(data: CaseData, task: Task) -> list[str]:
    """The combinations of modalities that the model sees in training."""
    training = data.cohort.table.where("train").tolist()
    presence = {name: [there[row] for row in training] for name, there in data.presence().items()}
    given = [name for name in task.model.reads if task.given is None or name in task.given]
    return combinations_shown(presence, given, task.modality_dropout)


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


def warning_of_seen(checkpoint: Path, data: CaseData) -> str:
    """A line about test patients on which the model was trained or selected; empty if there are none.

    Args:
        checkpoint: `checkpoints/<stage>/<name>` in a run folder; of any other file nothing is known.
        data: the cases to test or predict.
    """
    run = RunFolder.of_checkpoint(checkpoint)
    before = {row["patient_id"] for row in run.splits if row["split"] in ("train", "val")} if run else set()
    tested = {row.patient_id for row in data.split_table() if row.split == "test"}
    both = sorted(tested & before)
    if not both:
        return ""
    return (
        f"WARNING: {len(both)} of {len(tested)} test patients have the id of one that the model was trained or "
        f"selected on, first {both[0]}. Leave them out, unless they are other people: it has seen their answers."
    )
