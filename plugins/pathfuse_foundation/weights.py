"""Weights of an encoder: the hub at a pinned revision, a folder, or a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pathfuse.errors import WeightsError
from pathfuse.nn.hub import fetch
from pathfuse.nn.weights import read_state
from pathfuse_foundation.table import HUB_FILES, Row

CONFIG = "config.json"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Weights:
    """Tensors read from somewhere.

    Attributes:
        origin: what they are called in messages.
        state: the tensors by name.
        config: the configuration beside them; empty if there is none or none is needed.
    """

    origin: str
    state: dict[str, Tensor]
    config: dict[str, Any]


def read_weights(row: Row, weights: str, revision: str) -> Weights:
    """Reads the weights of an encoder; tensors and plain JSON only, never code.

    Args:
        row: the encoder.
        weights: `hub`, or the path of a file or folder, with or without `local-dir:` before it.
        revision: commit on the hub; empty takes the row's, or the newest if it has none.

    Raises:
        WeightsError: if they are not there, the hub refuses, or they cannot be read.
    """
    wants_config = row.library == "transformers"
    if weights == "hub":
        at = revision or row.revision
        file = fetch(row.published, row.files, at)
        config = fetch(row.published, (CONFIG,), at) if wants_config else None
        return _read(file, config)
    path = Path(weights.removeprefix("local-dir:")).expanduser()
    if path.is_dir():
        return _read(_in_folder(row, path), path / CONFIG if wants_config else None)
    if not path.is_file():
        raise WeightsError(
            f"weights {weights!r}: there is no such file or folder. Correct the path, or use `hub` or `random`."
        )
    return _read(path, None)


def _in_folder(row: Row, folder: Path) -> Path:
    named = [folder / name for name in dict.fromkeys((*row.files, *HUB_FILES))]
    found = next((path for path in named if path.is_file()), None)
    if found is not None:
        return found
    others = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if len(others) != 1:
        what = f"several files of weights ({', '.join(path.name for path in others)})" if others else "no weights"
        raise WeightsError(f"weights {folder}: holds {what}. Give the path of one file, or put {row.files[0]} there.")
    return others[0]


def _read(file: Path, config: Path | None) -> Weights:
    facts: object = {}
    if config is not None and config.is_file():
        try:
            facts = json.loads(config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WeightsError(f"weights {config}: cannot be read ({error}). Download it again.") from error
    if not isinstance(facts, dict):
        raise WeightsError(f"weights {config}: holds no configuration. Download it again.")
    return Weights(str(file), read_state(file), facts)
