"""Every checkpoint says by which split it was trained."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from pathfuse.data.contract import CaseData
from pathfuse.runs.folder import split_identity

KEY = "pathfuse_split"


class SplitStamp(Callback):
    """Writes the hashes of the split into every checkpoint, as plain text; loading a checkpoint does not read them.

    Args:
        data: the cases of the stage.
    """

    def __init__(self, data: CaseData) -> None:
        self.identity = {**split_identity(data), "cases_sha256": data.fingerprint()}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the key."""
        checkpoint[KEY] = dict(self.identity)
