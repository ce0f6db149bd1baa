"""Index of feature files: what their headers said, by path, size and time of change."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pathfuse.errors import PathfuseError
from pathfuse.registry import STORES, note_use
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.formats.trident import states_time
from pathfuse.store.read import read_slide, stores, with_facts
from pathfuse.store.rows.stamp import Stamp, unreadable
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_json

VERSION = 2
OURS = "pathfuse.store."
Entry = tuple[int, int, str, Any, list[list[Any]]]
"""Size, time of change, class of the store, the slide as plain data, and path, size and time of files beside it."""


class NotPlainError(Exception):
    """A slide that holds more than plain data, such as rows that are in memory; its file is opened each time."""


@dataclass
class FeatureIndex:
    """What is known of feature files. An index that is damaged or of another version is as good as none.

    Attributes:
        cache: the folder of everything that can be made again; None keeps nothing.
        opened: files whose header was read, because the index did not know them as they are.
    """

    cache: Path | None
    opened: int = 0
    _folders: dict[Path, dict[str, Entry]] = field(default_factory=dict, repr=False)
    _changed: set[Path] = field(default_factory=set, repr=False)

    def open(self, path: Path, *, mpp: float | None = None, patch_size_level0: float | None = None) -> SlideFeatures:
        """As `open_slide`.

        Raises:
            StoreError: as `open_slide`.
        """
        slide = self._known(path) if self.cache is not None else None
        if slide is None:
            slide = self._read(path)
        return with_facts(slide, mpp=mpp, patch_size_level0=patch_size_level0)

    def save(self) -> None:
        """Keeps what was found out; a cache that cannot be written costs time at the next start and nothing else."""
        for folder in self._changed:
            with suppress(PathfuseError):
                write_text(self._file(folder), json.dumps([self._made(folder), self._folders[folder]]))
        self._changed.clear()

    @cached_property
    def _stores(self) -> dict[str, Store]:
        return stores()

    def _known(self, path: Path) -> SlideFeatures | None:
        """The slide as it is in the index; None if it is not, or the file is another by now."""
        entry = self._entries(path.absolute().parent).get(path.name)
        if entry is None:
            return None
        try:
            stamp = Stamp.of(path)
        except OSError as error:
            raise unreadable(path, error) from error
        size, time, store, plain, beside = entry
        if (size, time) != stamp or any(_stamped(Path(file)) != [file, *known] for file, *known in beside):
            return None
        slide = _decoded(plain, path)
        note_use(STORES.component(store))
        return slide if isinstance(slide, SlideFeatures) else None

    def _read(self, path: Path) -> SlideFeatures:
        slide, store = read_slide(path, known=self._stores)
        self.opened += 1
        if self.cache is None or store.beside(path) is None:
            return slide
        with suppress(NotPlainError, OSError):
            stamp, folder = Stamp.of(path), path.absolute().parent
            # What another store would go by counts too: a bare tensor is CLAM's as soon as it has a twin.
            others = [] if store.alone else [file for one in self._stores.values() for file in one.beside(path) or ()]
            beside = [_stamped(file) for file in dict.fromkeys(others)]
            entry = (stamp.size, stamp.time, type(store).__name__, _encoded(slide, path), beside)
            self._entries(folder)[path.name] = entry
            self._changed.add(folder)
        return slide

    def _entries(self, folder: Path) -> dict[str, Entry]:
        if folder not in self._folders:
            self._folders[folder] = self._loaded(folder)
        return self._folders[folder]

    def _loaded(self, folder: Path) -> dict[str, Entry]:
        try:
            made, entries = read_json(self._file(folder))
            if made != self._made(folder):
                return {}
            return {
                str(name): (size, time, store, plain, beside)
                for name, (size, time, store, plain, beside) in entries.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _file(self, folder: Path) -> Path:
        assert self.cache is not None
        return self.cache / "headers" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}.json"

    def _made(self, folder: Path) -> list[Any]:
        """What an index depends on besides the files: who reads them, and what TRIDENT noted elsewhere."""
        readers = sorted(f"{name} {type(store).__module__}" for name, store in self._stores.items())
        return [VERSION, version("pathfuse"), readers, states_time(folder)]


def _stamped(file: Path) -> list[Any]:
    """Path, size and time of a file; only its path where it is not there."""
    try:
        return [str(file), *Stamp.of(file)]
    except OSError:
        return [str(file)]


def _encoded(value: object, path: Path) -> Any:  # noqa: ANN401 - what JSON can say
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path) and value == path:
        return {"path": 0}
    if isinstance(value, Path):
        return {"file": str(value)}
    if isinstance(value, Stamp):
        return {"stamp": list(value)}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(part, path) for part in value]}
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _encoded(part, path) for key, part in value.items()}}
    kind = type(value)
    if is_dataclass(value) and kind.__module__.startswith(OURS):
        own = {part.name: _encoded(getattr(value, part.name), path) for part in fields(value)}
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "fields": own}
    raise NotPlainError(kind.__name__)


def _decoded(plain: Any, path: Path) -> Any:  # noqa: ANN401 - what was encoded
    """The value behind plain data; None where it is not as we write it."""
    if not isinstance(plain, dict):
        return plain
    if "class" in plain:
        module, _, name = plain["class"].partition(":")
        kind = getattr(import_module(module), name) if module.startswith(OURS) else None
        if not (isinstance(kind, type) and is_dataclass(kind)):
            return None
        return kind(**{key: _decoded(part, path) for key, part in plain["fields"].items()})
    ((what, held),) = plain.items()
    if what == "mapping":
        return {key: _decoded(part, path) for key, part in held.items()}
    if what == "tuple":
        return tuple(_decoded(part, path) for part in held)
    if what == "stamp":
        return Stamp(*held)
    if what == "file":
        return Path(held)
    return path if what == "path" else base64.b64decode(held)
