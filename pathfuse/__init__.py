"""pathfuse: a plug-in framework for multi-modal pathology."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathfuse.training.evaluate import load

__all__ = ["load"]


def __getattr__(name: str) -> object:
    """Imports `load`, and torch with it, when it is first asked for."""
    if name == "load":
        from pathfuse.training.evaluate import load

        return load
    raise AttributeError(f"module 'pathfuse' has no attribute {name!r}")
