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
    components, versions = run.versions.get("components"), run.versions.get("plugins")
    for owner, names in (components if isinstance(components, dict) else {}).items():
        try:
            version(str(owner))
        except PackageNotFoundError as error:
            was = versions.get(owner) if isinstance(versions, dict) else None
            listed = ", ".join(map(str, names)) if isinstance(names, list) else "components"
            raise PluginError(
                f"{run.path} uses {listed} of the package {owner}{f' {was}' if was else ''}, which is not installed. "
                "Install it, if you trust whoever wrote it."
            ) from error
