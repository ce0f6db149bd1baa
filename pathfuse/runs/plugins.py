"""Packages that a run was trained with and that are not installed here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from pathfuse.errors import PathfuseError, PluginError
from pathfuse.runs.folder import RunFolder


@contextmanager
def of_installed(run: RunFolder) -> Iterator[None]:
    """Within the block, an error of a run is one of a package that is not installed, where that is so.

    Raises:
        PluginError: naming the components, the package and its version.
    """
    try:
        yield
    except PathfuseError:
        _need_plugins(run)
        raise


def _need_plugins(run: RunFolder) -> None:
    for owner, names in run.versions.get("components", {}).items():
        try:
            version(owner)
        except PackageNotFoundError as error:
            was, listed = run.versions.get("plugins", {}).get(owner), ", ".join(names)
            raise PluginError(
                f"{run.path} uses {listed} of the package {owner}{f' {was}' if was else ''}, which is not installed. "
                "Install it, if you trust whoever wrote it."
            ) from error
