"""The user's cache folder, for files that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """The platform's folder for files that can be made again: `$XDG_CACHE_HOME/pathfuse` or `~/.cache/pathfuse`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pathfuse"
