"""What the trainer asks of data: a spec, batches, the split, and a fingerprint of the cohort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch import LightningDataModule

from pathfuse.core import DataSpec


class SplitRow(NamedTuple):
    """One line of `splits.csv`; `split` is `train`, `val` or `test`, `label` is empty where unknown."""

    case_id: str
    patient_id: str
    split: str
    label: str


class CaseData(LightningDataModule, ABC):
    """Base of every data module a recipe can name. Batches are `pathfuse.core.Batch`.

    Order and augmentation are functions of (seed, epoch, index) alone, so that an interrupted run continues exactly.
    """

    @abstractmethod
    def spec(self) -> DataSpec:
        """The sizes components are built from; reads the case table, or makes the demo cohort without one."""

    @abstractmethod
    def split_table(self) -> list[SplitRow]:
        """Every case with its part, in table order."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 over cases, labels and parts; a run is resumed only on equal data."""

    def origin(self) -> Path | None:
        """The case table or folder behind the cases, where further files of the cohort lie; None if there is none."""
        return None

    def notes(self) -> list[str]:
        """Lines to read before trusting a number, for example that patches of one slide may lie in two parts."""
        return []
