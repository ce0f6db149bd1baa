"""torchmil, imported when a component is built and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pathfuse.errors import PluginError


def torchmil_class(module: str, name: str) -> Any:  # noqa: ANN401 - torchmil has no types
    """A class of torchmil, such as `torchmil_class("nn", "AttentionPool")`.

    Raises:
        PluginError: if torchmil, or something that it needs, is not installed.
    """
    try:
        return getattr(import_module(f"torchmil.{module}"), name)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"{name} is torchmil's, and {error.name} is not installed. Run: pip install 'pathfuse[torchmil]'"
        ) from error
