"""What a recipe may name: pathfuse, the installed plug-ins and a short allow-list. A recipe is text from a stranger.

The check is jsonargparse's own: the given path is refused before it is imported, and the canonical path of the object
after it, so a detour through a trusted module is caught too. Only the environment variable `PATHFUSE_TRUST` (module
names separated by commas) widens it; a recipe cannot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jsonargparse
from jsonargparse import _common as settings

from pathfuse.registry import components

TRUSTED = (
    "pathfuse",
    "torch.optim",
    "torch.nn",
    "torchmetrics",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.strategies",
    "lightning.pytorch.profilers",
    "lightning.pytorch.cli.ReduceLROnPlateau",
)
VARIABLE = "PATHFUSE_TRUST"


@contextmanager
def trusted_imports() -> Iterator[None]:
    """Within the block a configuration can only name trusted classes, and only local files are read.

    The settings of jsonargparse are process-wide and can only be added to, so they are put back afterwards: a notebook
    that calls `pathfuse.load` keeps its own.
    """
    before = dict(settings.parsing_settings)
    extra = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    jsonargparse.set_parsing_settings(
        config_read_mode_urls_enabled=False,
        config_read_mode_fsspec_enabled=False,
        instantiate_subclass_spec_in_any=False,
        import_path_denylist=["*"],
        import_path_allowlist=[*TRUSTED, *(component.class_path for component in components()), *extra],
    )
    try:
        yield
    finally:
        settings.parsing_settings.clear()
        settings.parsing_settings.update(before)
