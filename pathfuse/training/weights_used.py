"""`weights.json`: the weights that each stage began with, and their licences, without loading any."""

from __future__ import annotations

import json
from collections.abc import Iterator

import yaml

from pathfuse.nn.weights import WeightsNote
from pathfuse.registry import components
from pathfuse.runs.folder import RunFolder
from pathfuse.system.files import write_text

WEIGHTS = "weights.json"


def write_weights(run: RunFolder) -> None:
    """Writes what the components of a recipe say about the weights they begin with."""
    stages = (yaml.safe_load(run.config_file.read_text(encoding="utf-8")) or {}).get("stages") or {}
    found = [
        {"stage": stage, "component": name, **note._asdict()}
        for stage, own in stages.items()
        for name, note in _notes(own.get("model"))
    ]
    write_text(run.path / WEIGHTS, json.dumps({"weights": found}, indent=2, ensure_ascii=False) + "\n")


def _notes(value: object) -> Iterator[tuple[str, WeightsNote]]:
    if isinstance(value, list):
        for one in value:
            yield from _notes(one)
    if not isinstance(value, dict):
        return
    component = next((c for c in components() if c.class_path == value.get("class_path")), None)
    if component is not None:
        describe = getattr(component.load(), "weights_note", None)
        note = describe(value.get("init_args") or {}) if describe is not None else None
        if note is not None:
            yield component.name, note
    for one in value.values():
        yield from _notes(one)
