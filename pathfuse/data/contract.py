"""What the trainer asks of data: a spec, batches, the split, and a fingerprint of the cohort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from lightning.pytorch import LightningDataModule

from pathfuse.cohort.flow import FlowStep, part_steps
from pathfuse.cohort.split_rows import Folds, SplitRow
from pathfuse.core import DataSpec
from pathfuse.data.images.decode import Pixels


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
