"""The data module of a stage as Lightning loads it: shared among processes, and told which epoch it is."""

from __future__ import annotations

from typing import Literal

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from pathfuse.core import Batch
from pathfuse.data.contract import CaseData
from pathfuse.data.loading.sampler import Shared


class LightningData(LightningDataModule):
    """Lightning's view of a data module.

    Args:
        data: what makes the batches.
        tests: the part that a test predicts.
    """

    def __init__(self, data: CaseData, *, tests: Literal["test", "val"] = "test") -> None:
        super().__init__()
        self.data = data
        self.tests = tests

    def prepare_data(self) -> None:
        """Once on every machine."""
        self.data.prepare_data()

    def train_dataloader(self) -> DataLoader[Batch]:
        """The share of this process."""
        return self._shared().train_dataloader()

    def val_dataloader(self) -> DataLoader[Batch]:
        """The share of this process."""
        return self._shared().val_dataloader()

    def test_dataloader(self) -> DataLoader[Batch]:
        """The share of this process."""
        return self._shared().val_dataloader() if self.tests == "val" else self._shared().test_dataloader()

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The share of this process."""
        return self._shared().predict_dataloader()

    def _shared(self) -> CaseData:
        if self.trainer is not None:
            self.data.shared = Shared(self.trainer.world_size, self.trainer.global_rank, self._epoch)
        return self.data

    def _epoch(self) -> int:
        return 0 if self.trainer is None else self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
