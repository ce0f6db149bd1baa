"""What stands where a file is expected, and is none."""

from __future__ import annotations

import os
from pathlib import Path


def irregular(kind: str, path: Path) -> Path:
    """A pipe that nobody writes into, a device without end, or a folder."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path
