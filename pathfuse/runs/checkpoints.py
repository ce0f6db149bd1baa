"""Checkpoints of a run: which one a stage hands on, which stages are complete, and the seal on all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pathfuse.errors import RunError
from pathfuse.runs.checked import CheckedFiles
from pathfuse.runs.files import CHECKPOINTS, STAGES
from pathfuse.runs.seal import Seal, digest_of
from pathfuse.system.reading import open_regular

LAST = "last.ckpt"
BEST = "best.ckpt"
TENSORS = "best.safetensors"
"""The weights of a run that was exported to a folder: tensors alone, no state of training."""


@dataclass(frozen=True)
class CheckpointFiles(CheckedFiles):
    """A folder of text files and checkpoints, sealed."""

    def checkpoints(self, stage: str) -> Path:
        """Folder of a stage's checkpoints."""
        return self.path / CHECKPOINTS / stage

    def selected(self, stage: str) -> Path:
        """The checkpoint that the stage hands on: the best on the validation part, or the last without one.

        Raises:
            RunError: if the stage has none yet, or has lost its best one, whose place no other epoch takes.
        """
        folder = self.checkpoints(stage)
        found = next((path for name in (BEST, LAST, TENSORS) if (path := folder / name).is_file()), None)
        if found == folder / LAST and self.seal.of(f"{CHECKPOINTS}/{stage}/{BEST}") is not None:
            raise RunError(
                f"{folder / BEST} is gone, and {LAST} is of another epoch. Restore it, or remove {folder} and "
                f"train the stage again with `pathfuse fit --resume {self.path}`."
            )
        if found is not None:
            return found
        raise RunError(
            f"{self.path} has no checkpoint of stage {stage}. Train it with `pathfuse fit --resume {self.path}`."
        )

    def loadable(self, checkpoint: Path) -> BinaryIO:
        """A checkpoint of this run, opened at its start; it is the one that the run wrote, if that finished the stage.

        Raises:
            RunError: if another one lies in its place.
            OSError: if it cannot be opened.
        """
        file = open_regular(checkpoint)
        name = f"{CHECKPOINTS}/{checkpoint.parent.name}/{checkpoint.name}"
        if self.seal.of(name) is not None:
            try:
                self.seal.check(name, digest_of(file))
            except RunError:
                file.close()
                raise
            file.seek(0)
        return file

    def has_weights(self, stage: str) -> bool:
        """Whether a stage has a checkpoint to hand on; a complete one may have lost its own."""
        return any((self.checkpoints(stage) / name).is_file() for name in (BEST, LAST, TENSORS))

    def unfinished(self, stage: str) -> Path | None:
        """Where to continue a stage that was interrupted; None if it has not begun."""
        last = self.checkpoints(stage) / LAST
        return last if last.is_file() else None

    def complete(self) -> list[str]:
        """Names of the stages that are trained to their end."""
        return list(self.json(STAGES).get("complete", []))

    def mark_complete(self, stage: str, epoch: int | None = None, by: str | None = None) -> None:
        """Remembers that a stage needs no further training, which epoch it hands on, and what selected it."""
        kept = {**self._kept, stage: {"epoch": epoch, "by": by}}
        self.write_json(STAGES, {"complete": list(dict.fromkeys([*self.complete(), stage])), "kept": kept})

    def kept_epoch(self, stage: str) -> int | None:
        """The epoch that a stage hands on; None where none was selected, or nobody says."""
        epoch: int | None = self._kept.get(stage, {}).get("epoch")
        return epoch

    def kept_by(self, stage: str) -> str | None:
        """The validation figure that selected this epoch; None where none did, or nobody says."""
        by: str | None = self._kept.get(stage, {}).get("by")
        return by

    @property
    def _kept(self) -> dict[str, dict[str, Any]]:
        return dict(self.json(STAGES).get("kept", {}))

    def sealed_json(self, name: str) -> dict[str, Any]:
        """A mapping as the run wrote it; empty if the file is not there.

        Raises:
            RunError: if it is another one by now.
        """
        if self.has(name):
            self.seal.check(name, self.sha256(name))
        return self.json(name)

    @property
    def seal(self) -> Seal:
        """What the files were when they were written."""
        return Seal(self.path)

    def seal_files(self, *names: str) -> None:
        """Seals those of some text files that are there, after all of them are written."""
        self.seal.add({name: self.sha256(name) for name in names if self.has(name)})

    def seal_checkpoints(self, stage: str, written: Mapping[Path, str]) -> None:
        """Seals the checkpoints of a stage, whose training has ended.

        Args:
            stage: the stage.
            written: SHA-256 of those that this process wrote, by their resolved path; others are read.
        """
        digests = {}
        for path in (self.checkpoints(stage) / name for name in (BEST, LAST)):
            if path.is_file():
                known = written.get(path.resolve())
                if known is None:
                    with path.open("rb") as file:
                        known = digest_of(file)
                digests[f"{CHECKPOINTS}/{stage}/{path.name}"] = known
        self.seal.add(digests)

    def refuse_replaced(self) -> None:
        """Looks at every sealed checkpoint that is there.

        Raises:
            RunError: if one is another by now.
        """
        for name in self.seal.names():
            path = self.path / name
            if name.startswith(f"{CHECKPOINTS}/") and path.is_file():
                self.loadable(path).close()

    def sha256(self, name: str) -> str:
        """SHA-256 of a text file."""
        return hashlib.sha256(self.content(name)).hexdigest()
