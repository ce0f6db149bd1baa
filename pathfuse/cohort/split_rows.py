"""Rows of `splits.csv`, and the fold of a file that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class SplitRow(NamedTuple):
    """One line of `splits.csv`; `split` is `train`, `val` or `test`, `label` is empty where unknown."""

    case_id: str
    patient_id: str
    split: str
    label: str


@dataclass(frozen=True)
class Folds:
    """The fold of a file that the parts come from; `sha256` is that of the file.

    Attributes:
        file: name of the file, without its folder.
        sha256: of its contents, as `pathfuse data split` prints it.
        repeat: which repeat of it.
        fold: which fold of that repeat.
    """

    file: str
    sha256: str
    repeat: int
    fold: int
