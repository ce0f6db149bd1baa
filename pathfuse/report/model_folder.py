"""A trained run as a folder to hand on: tensors, recipe, preprocessing, labels, metrics and a model card; no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from pathfuse.errors import RunError
from pathfuse.nn.saved import load_saved, tensors_of
from pathfuse.report.model_card import model_card
from pathfuse.runs.checkpoints import TENSORS
from pathfuse.runs.files import CALIBRATION, CHECKPOINTS, CONFIG, METRICS, SPEC, VERSIONS, WEIGHTS
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.seal import digest_of

CARD, LABELS, PREPROCESSING = "README.md", "labels.json", "preprocessing.json"
# Where the cases lay when it was trained is of no use elsewhere, and nobody's business.
PLACES = ("cases", "stores", "vectors", "folds", "cache")


def export_model(run: RunFolder, out: Path) -> list[Path]:
    """Writes the folder, which `pathfuse.load` opens like a run; returns the paths of what was written.

    Args:
        run: a trained run.
        out: a new or empty folder.

    Raises:
        RunError: if the run is not trained or exported already, its checkpoint is damaged, or `out` holds something.
    """
    stage = list(run.config.get("stages") or {})[-1]
    checkpoint = run.selected(stage)
    if checkpoint.name == TENSORS:
        raise RunError(f"{run.path} is an exported model already. Copy the folder as it is.")
    state = _tensors(run, checkpoint)
    target = RunFolder.create(out)
    folder = target.checkpoints(stage)
    folder.mkdir(parents=True)
    save_file(state, folder / TENSORS, metadata={"format": "pt"})
    for name in (SPEC, METRICS, WEIGHTS):
        if run.has(name):
            target.write_json(name, run.sealed_json(name))
    target.write_json(VERSIONS, run.versions)
    if run.has(CALIBRATION):
        target.write_json(CALIBRATION, {**run.sealed_json(CALIBRATION), "checkpoint": f"{stage}/{TENSORS}"})
    target.write_json(LABELS, _labels(run))
    target.write_json(PREPROCESSING, _preprocessing(run))
    target.write(CARD, model_card(run, weights=f"{CHECKPOINTS}/{stage}/{TENSORS}"))
    with (folder / TENSORS).open("rb") as file:
        target.seal.add({f"{CHECKPOINTS}/{stage}/{TENSORS}": digest_of(file)})
    target.seal_files(METRICS, CALIBRATION)
    # Last: a folder with a recipe is a whole one.
    target.write(CONFIG, f"# {run.name}, resolved\n{yaml.safe_dump(_without_places(run.config), sort_keys=False)}")
    return sorted(path for path in out.rglob("*") if path.is_file())


def _tensors(run: RunFolder, checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        with run.loadable(checkpoint) as file:
            state = tensors_of(load_saved(file))
    except RunError:
        raise
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(f"{checkpoint} cannot be loaded ({reason}). Export another run.") from error
    # A file of tensors holds each of them by itself; two that share memory would be refused.
    return {name: value.detach().contiguous().clone() for name, value in state.items()}


def _labels(run: RunFolder) -> dict[str, Any]:
    classes = list(run.specs().values())[-1].classes
    cohort = run.config.get("cohort") or {}
    return {"classes": dict(enumerate(classes)), "label_map": cohort.get("label_map")}


def _preprocessing(run: RunFolder) -> dict[str, Any]:
    stages = run.config.get("stages") or {}
    data = (list(stages.values())[-1] or {}).get("data") or run.config.get("data") or {}
    return {"data": data.get("class_path"), "options": data.get("init_args") or {}, "modalities": run.json(SPEC)}


def _without_places(value: Any, key: str = "") -> Any:  # noqa: ANN401 - a tree of plain values
    """A tree of plain values without the paths of the machine that it comes from."""
    if isinstance(value, dict):
        inside = {name: _without_places(one, name) for name, one in value.items()}
        return {**inside, **dict.fromkeys(PLACES)} if key == "cohort" else inside
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    if isinstance(value, str) and key == "weights" and "/" in value:
        return value.rstrip("/").rpartition("/")[2]
    return value
