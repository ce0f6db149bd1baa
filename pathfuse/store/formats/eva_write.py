"""Writes a folder of embeddings as eva reads it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.system.files import replacing

MANIFEST = "manifest.csv"


class EvaRow(NamedTuple):
    """One line of the manifest; rows with one `wsi_id` are concatenated by eva."""

    origin: str
    embeddings: str
    target: int
    split: str
    wsi_id: str


def write_eva(path: Path, features: Tensor) -> None:
    """Writes `<slide>.pt` as eva reads it: one stacked tensor."""
    with replacing(path, error=StoreError) as temporary:
        torch.save(features.contiguous().clone(), temporary)


def write_manifest(root: Path, rows: Sequence[EvaRow]) -> None:
    """Writes `manifest.csv`, last: eva takes a folder that has one as finished.

    Raises:
        StoreError: if there is one already.
    """
    path = root / MANIFEST
    if path.exists():
        raise StoreError(f"{path} exists already. Choose another folder.")
    with replacing(path, error=StoreError) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(EvaRow._fields)
        table.writerows(rows)
