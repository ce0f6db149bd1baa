"""A callback that notes when a fit began and ended to train, in seconds of the processor and of the clock."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lightning.pytorch import Callback


class Marks(Callback):
    """Writes `first` and `last` to a file: the start of the first batch, and the end of the last one.

    Args:
        file: where; JSON of (seconds of this process, seconds since 1970).
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.marks: dict[str, tuple[float, float]] = {}

    def on_train_batch_start(self, *args: object) -> None:
        """The first one."""
        self.marks.setdefault("first", (time.process_time(), time.time()))

    def on_train_batch_end(self, *args: object) -> None:
        """The last one so far."""
        self.marks["last"] = (time.process_time(), time.time())

    def on_train_end(self, *args: object) -> None:
        """Writes them."""
        self.file.write_text(json.dumps(self.marks))
