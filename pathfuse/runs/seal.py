"""The seal of a run: the SHA-256 of its checkpoints, metrics, predictions and the like, in one small file.

It is written after the files that it names, so a run that was killed has none of what it had not finished. It tells a
file that changed by accident or was put there by something else; it is no signature, since whoever can write the folder
can write the seal too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.runs.files import EXPLANATION
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_json

SEAL = "seal.json"
LARGEST = 64 << 20  # bytes; a name and 64 digits per file
BLOCK = 1 << 20
_Stamp = tuple[int, int, int]
_known: dict[Path, tuple[_Stamp, dict[str, str]]] = {}
"""What the seals of this process's runs say, so that every one is read once."""


class Seal:
    """The seal of one folder.

    Args:
        folder: the run, or the results of one on other cases.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / SEAL

    def of(self, name: str) -> str | None:
        """SHA-256 of a file as the run wrote it; None where it is not sealed.

        Args:
            name: below the folder, such as `checkpoints/train/best.ckpt`.

        Raises:
            RunError: if the seal is damaged.
        """
        return self._read().get(name)

    def names(self) -> list[str]:
        """The files that are sealed."""
        return list(self._read())

    def add(self, digests: Mapping[str, str]) -> None:
        """Seals files, by name; those that are sealed already stay so."""
        self._write({**self._read(), **digests})

    def drop(self, names: Iterable[str]) -> None:
        """Breaks the seal of files that are about to be made again."""
        gone = set(names)
        if gone & self._read().keys():
            self._write({name: digest for name, digest in self._read().items() if name not in gone})

    def check(self, name: str, digest: str) -> None:
        """Refuses a file that is not the one that the run wrote.

        Raises:
            RunError: naming it, and how it is made again.
        """
        if self.of(name) not in (None, digest):
            raise RunError(
                f"{self.folder / name} is not the file that the run wrote: its SHA-256 differs from {SEAL}. Restore "
                f"it, or {_again(name, self.folder)}."
            )

    def _read(self) -> dict[str, str]:
        try:
            stamp = _stamp(self.path)
        except OSError:
            return {}
        place = self.path.resolve()
        found = _known.get(place)
        if found is None or found[0] != stamp:
            found = _known[place] = (stamp, _parsed(self.path))
        return found[1]

    def _write(self, digests: dict[str, str]) -> None:
        write_text(self.path, json.dumps({"sha256": dict(sorted(digests.items()))}, indent=2) + "\n")
        _known[self.path.resolve()] = (_stamp(self.path), digests)


def digest_of(file: BinaryIO) -> str:
    """SHA-256 of an open file from where it stands to its end."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _again(name: str, folder: Path) -> str:
    if name.startswith("checkpoints/"):
        return "train again with another --out"
    if name == EXPLANATION:
        return "make it again by the line of the study"
    if (folder / "config.yaml").is_file():
        return f"make it again with `pathfuse fit --resume {folder}`"
    return "test again with another --out"


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _parsed(path: Path) -> dict[str, str]:
    advice = "Restore it, or remove it to go without."
    try:
        content = read_json(path, most=LARGEST)
    except (OSError, ValueError) as error:
        raise cannot_be_read(RunError, path, error, advice) from error
    digests = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(digests, dict) or not all(isinstance(one, str) for one in digests.values()):
        raise cannot_be_read(RunError, path, "it holds no digests", advice)
    return digests
