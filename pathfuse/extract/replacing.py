"""Files that appear whole or not at all, for processes that import no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pathfuse.errors import StoreError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place when the block ends without an error.

    Raises:
        StoreError: if the folder cannot be written to or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        why = error.strerror or str(error).splitlines()[0]
        raise StoreError(f"{path} cannot be written ({why}). Free space or choose another --out.") from error
    finally:
        temporary.unlink(missing_ok=True)
