"""What the trainer asks of data: a spec, batches, the split, and a fingerprint of the cohort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch import LightningDataModule

from pathfuse.cohort.flow import FlowStep, part_steps
from pathfuse.core import DataSpec
from pathfuse.data.images.decode import Pixels


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

    def folds(self) -> Folds | None:
        """The fold that the parts come from; None where they do not come from a file of folds."""
        return None

    def notes(self) -> list[str]:
        """Lines to read before trusting a number, for example that patches of one slide may lie in two parts."""
        return []

    def flow(self) -> list[FlowStep]:
        """How many cases and patients are left at every step from the source to the parts, in order."""
        rows = self.split_table()
        return list(part_steps(rows, [row.split for row in rows]))

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """Per stain that a case has, a picture (H, W, 3) of at most 512 px; empty where there are only features.

        Args:
            case_id: a case of `split_table`.

        Raises:
            CaseTableError: if there is no such case.
        """
        return {}
