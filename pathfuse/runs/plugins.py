"""Packages that a run was trained with and that are not installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from pathfuse.errors import PluginError
from pathfuse.runs.folder import RunFolder


def need_plugins(run: RunFolder) -> None:
    """Refuses a run whose components are of a package that is not installed.

    Raises:
        PluginError: naming the components, the package and its version.
    """
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
