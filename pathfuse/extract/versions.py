"""Versions that extracted the features of a folder, and the plug-ins that had a part in it."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import Any

import torch

from pathfuse.extract.layout import Layout
from pathfuse.extract.settings import Settings
from pathfuse.registry import BACKBONES, NORMALISERS, READERS, TISSUES, Component, Registry, software_of
from pathfuse.system.files import write_text
from pathfuse.system.locks import held
from pathfuse.system.reading import read_json

VERSIONS = "versions.json"


def plugins_of(settings: Settings, reader: str) -> dict[str, str]:
    """The attribute `plugins` of a feature file; none where nothing foreign had a part in it.

    Args:
        settings: of the extraction.
        reader: name of the reader that opened the slide.
    """
    said = software_of(used=_used(settings, reader))
    foreign = {owner: f"{said['plugins'][owner]}: {', '.join(names)}" for owner, names in said["components"].items()}
    return {"plugins": "; ".join(f"{owner} {what}" for owner, what in foreign.items())} if foreign else {}


def record_versions(layout: Layout, settings: Settings, reader: str) -> None:
    """Adds to `versions.json` beside the features what made those of one slide.

    Args:
        layout: where the features go.
        settings: of the extraction.
        reader: name of the reader that opened the slide.

    Raises:
        RunError: if the file cannot be written.
    """
    path = layout.features_folder / VERSIONS
    own = {"pathfuse": version("pathfuse"), "torch": torch.__version__, "python": platform.python_version()}
    said: dict[str, Any] = {**own, **software_of(used=_used(settings, reader))}
    with held(path, path.with_name(f".{VERSIONS}.lock")):
        try:
            before = read_json(path)
            said["plugins"] = {**before["plugins"], **said["plugins"]}
            for owner, names in before["components"].items():
                said["components"][owner] = sorted({*names, *said["components"].get(owner, ())})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            before = None  # not there, or not one of ours
        if said != before:
            write_text(path, json.dumps(said, indent=2) + "\n")


def _used(settings: Settings, reader: str) -> set[Component]:
    encoder = settings.encoder.partition(":")[0]
    named: list[tuple[Registry[Any], str]] = [
        (BACKBONES, "TimmBackbone" if encoder in ("timm", "local-dir") else encoder),
        (TISSUES, type(settings.tissue).__name__),
        (NORMALISERS, type(settings.normaliser).__name__),
        (READERS, reader),
    ]
    tables = ((registry.table(), name) for registry, name in named)
    return {table[name] for table, name in tables if name in table}
